from dylora.metrics.nlg import ptb_tokenizer
from dylora.metrics.nlg.ptb_rules import RULES


def test_every_rule_decides_somewhere(ptb_sentences, monkeypatch):
    used = set()

    def watched(number, write):
        def note(token):
            used.add(number)
            return write(token)

        return note

    rules = [rule._replace(write=watched(number, rule.write)) for number, rule in enumerate(RULES)]
    monkeypatch.setattr(ptb_tokenizer, "RULES", rules)
    for text, _ in ptb_sentences:
        ptb_tokenizer.ptb_tokens.__wrapped__(text)
    assert used == set(range(len(RULES)))


def test_no_rule_matches_nothing():
    assert not [rule.pattern.pattern for rule in RULES if rule.pattern.match("")]
