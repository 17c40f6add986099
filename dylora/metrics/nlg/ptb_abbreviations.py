"""Abbreviations that keep their full stop in Penn Treebank tokens, as regular expressions without the stop."""


def _any_case(words: str) -> str:
    return f"(?i:{'|'.join(words.split())})"


def _capital_first(words: str) -> str:
    """Only the first letter's case counts: `Mass.` and `MASS.` are Massachusetts, `mass.` ends a sentence."""
    return "|".join(f"{word[0]}(?i:{word[1:]})" for word in words.split())


ACRONYM = (
    r"(?:[A-Za-z](?:\.[A-Za-z])+|(?i:Canada|Sino|Korean|EU|Japan|non)-(?i:U\.S)|(?i:U\.S\.-U\.K|U\.S\.-U\.S\.S\.R))"
)
"""Letters with full stops between them, and the hyphenated names of countries that the treebank has."""

ANYWHERE = "|".join(
    [
        _any_case("Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec Mon Tue Tues Wed Thu Thurs Fri"),
        _any_case("Ala Ariz Calif Colo Conn Ct Dak Fla Ga Ind Kan Kans Ky Md Mich Minn Mo Mont Neb Nev Okla Penn"),
        _any_case("Tenn Va Vt Wis Wisc Wyo"),
        _capital_first("Az Ark Del Ill La Mass Miss Ore Pa Tex Wash"),
        _any_case("Inc Co Cos Corp Pty Ptys Ppty Pptys Pte Ptes Ppte Pptes Ltd Plc Rt Bancorp Bhd Assn Univ Intl Sys"),
        _any_case(r"tel est ext sq Jr Sr Bros Ed\.D Ph\.D Blvd Rd Esq etc al seq Bldg"),
    ]
)
"""Those that end a sentence as often as not."""

BEFORE_NAMES = "|".join(
    [
        ACRONYM,
        "[A-Za-z]",
        _any_case("Mr Mrs Ms Dr Drs Prof Profs Sen Sens Rep Reps Atty Attys Lt Col Gen Messrs Gov Govs Adm Rev Maj"),
        _any_case("Sgt Cpl Pvt Capt St Ste Ave Pres Lieut Hon Brig Comdr Cmdr Pfc Spc Supt Supts Det Mt Ft Adj Adv"),
        _any_case("Asst Assoc Ens Insp Mlle Mme Msgr Sfc vs Alex Wm Jos Cie cf TREAS Ph Invt Elec Natl Mfg Mtg Dept"),
        _capital_first("Miss"),
    ]
)
"""Those that hardly ever end a sentence."""

BEFORE_NUMBERS = _any_case("ca fig figs prop no nos art bldg pp op p")
"""Those that are abbreviations only before a number."""

SENTENCE_STARTS = _capital_first(
    r"About According Additionally After An A As At But Did During Earlier He Her Here How However If In It Last"
    r" Many More Mr\. Ms\. Now Once One Other Our She Since So Some Such That The Their Then There These They This"
    r" We When While What Who Why Yet You"
)
"""Words that, after a single letter and a full stop, show that the stop ended the sentence."""
