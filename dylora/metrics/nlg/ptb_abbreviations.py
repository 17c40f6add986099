"""The abbreviations that keep their period, and words that are tokens, or two tokens, of their own.

Found by giving the official program every word of up to five letters and the vocabulary of public data sets, in lower
case, capitalised and in upper case, with and without a period, before other words and before numbers.
"""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


ABBREVIATIONS = _words("""
    adj adm adv alex asst assoc atty attys ave brig capt cf cie cmdr col comdr cpl dept det dr drs elec ens ft gen gov
    govs hon insp invt jos lieut lt maj messrs mlle mme mr mrs ms msgr mt natl pfc ph pres prof profs pvt rep reps rev
    sen sens sfc sgt spc st ste supt supts treas vs wm
""")
"""Keep their period in every case and context."""

CLOSING_ABBREVIATIONS = _words("""
    assn bhd bldg bros co corp cos inc ind intl ltd plc sys tel univ
    apr aug dec feb fri jan jul jun mar mon nov oct sep sept thu thurs tue tues wed
    ala ariz blvd calif colo conn ct dak fla ga kan kans ky md mich minn mo mont neb nev okla penn rd rt sq tenn va vt
    wis wisc wyo
    al esq est etc ext jr seq sr
""")
"""The same, and a sentence may end with them: a single letter that follows their period is another token."""

CAPITALISED_ABBREVIATIONS = _words("ark az del ill la mass miss ore pa tex wash")
"""States whose abbreviation is a word too: keep the period when they begin with a capital letter."""

LOWER_ABBREVIATIONS = _words("mfg mtg ppte pptes ppty pptys pte ptes pty ptys")
"""Keep their period in lower case and capitalised, not in upper case."""

BEFORE_NUMBERS = _words("art ca fig figs no nos op pp prop")
"""Keep their period when a number follows."""

SENTENCE_STARTS = _words("""
    a about according additionally after an as at but earlier he her here however if in it last many more now once one
    other our she since so some such that the their then there these they this we what when while yet you
""")
"""A single letter before one of these words, capitalised, ends a sentence and is no initial."""

APOSTROPHE_WORDS = ("c'mon", "c'est", "cap'n", "e'er", "li'l", "nat'l", "somethin'")
"""Words that keep an apostrophe at which others are split."""

TWO_TOKENS = {
    "cannot": ("can", "not"),
    "gimme": ("gim", "me"),
    "gonna": ("gon", "na"),
    "gotta": ("got", "ta"),
    "lemme": ("lem", "me"),
    "wanna": ("wan", "na"),
}
"""Words that the Penn Treebank takes apart."""
