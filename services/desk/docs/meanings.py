"""What a field means, as far as its struct's docstring says; else what a field of that name always means.

A sentence (or what follows a semicolon) that begins with fields in backticks belongs to them; a field that begins none
has the sentences that name it anywhere. A new field needs a sentence in its struct's docstring, and nothing here.
"""

import inspect
import re
from collections.abc import Iterable

_SENTENCES = re.compile(r"(?<=[.])\s+(?=[A-Z`(])")
_PARTS = re.compile(r"(?<=[.;])\s+(?=[A-Z`(])")
_HEAD = re.compile(r"`\w+`(?:(?:, | and )`\w+`)*")

ALWAYS = {
    "account": "The account's code.",
    "accounts": "The account of each role that the purpose books to.",
    "actor": "Who did it.",
    "against": "The movement that this one returns, corrects or cancels.",
    "amount": "In the company's currency.",
    "attempt": "1, and one more each time that an operator had it tried again.",
    "attributes": "Whatever else is worth keeping, by name.",
    "batch": "The batch's number, unique for its item.",
    "company": "The company's code.",
    "credit": "The account that is credited.",
    "credits": "What is credited.",
    "currency": "ISO 4217: three capital letters.",
    "customer": "The customer, as the upstream names it.",
    "debit": "The account that is debited.",
    "debits": "What is debited.",
    "digits": "Decimal places of the currency.",
    "document": "The number of the paper or record behind it.",
    "effective_at": "When it counts: orders and values stock.",
    "entries": "The stock ledger entries, in the order in which they were posted.",
    "entry": "The id of the stock ledger entry.",
    "expires_on": "The last day on which it may be used.",
    "id": "The id that its source gave it.",
    "item": "The item's code.",
    "journal_entry": "The id of the journal entry.",
    "kind": "Asset, liability, equity, income or expense.",
    "legs": "The changes of stock, in the order in which they are posted.",
    "line": "The number of the line in its movement.",
    "manufactured_on": "The day on which it was made.",
    "method": "How untracked stock that leaves is valued.",
    "money": "The money side of a sale.",
    "name": "For people to read.",
    "perpetual": "Whether the company books every movement at once.",
    "posting_at": "When it happened, as the upstream reports it.",
    "posting_date": "The day of `effective_at` in the company's time zone.",
    "purpose": "What kind of movement it is: what it does to stock, serials and accounts.",
    "quantity": "In the item's stock unit; below zero where it leaves.",
    "quantity_after": "What stands in the bin after it.",
    "reason": "Why, in words.",
    "recipient": "Who took it: a ward, a cost centre, a workshop.",
    "recorded_at": "When it was accepted.",
    "serial": "The serial number, unique for its item.",
    "serials": "The serial numbers.",
    "source": "The name of the upstream system.",
    "stamp": "The movement's number in the bin: 1, 2, 3, without gaps.",
    "stamps": "The movement's number in each bin that it touches.",
    "standard_rate": "The rate where no other is known.",
    "stock_account": "The account that holds the value of the warehouse's stock.",
    "supplier": "The supplier, as the upstream names it.",
    "supplier_batch": "The supplier's own number of the batch.",
    "trace": "The `traceparent` of the event that brought it.",
    "tracking": "How units of the item are told apart.",
    "transfers": "What is booked; balanced, whatever stands here.",
    "valuation_method": "How untracked stock that leaves is valued.",
    "value": "In the company's currency.",
    "value_after": "What the bin is worth after it.",
    "warehouse": "The warehouse's code.",
}


def description(thing: object) -> str:
    """A docstring without its line ends; an empty line stays between paragraphs."""
    paragraphs = re.split(r"\n\s*\n", inspect.getdoc(thing) or "")
    return "\n\n".join(" ".join(each.split()) for each in paragraphs)


def summary(struct: type, names: Iterable[str]) -> str:
    """A struct's docstring without the sentences that begin with a field: those are the fields' meanings."""
    paragraphs = []
    for paragraph in description(struct).split("\n\n"):
        sentences = [each for each in _SENTENCES.split(paragraph) if not any(_heads(each, name) for name in names)]
        paragraphs.append(" ".join(sentences))
    return "\n\n".join(filter(None, paragraphs))


def meanings(struct: type, names: Iterable[str]) -> dict[str, str]:
    """The meaning of each of a struct's fields that has one."""
    sentences = [each for paragraph in description(struct).split("\n\n") for each in _PARTS.split(paragraph)]
    told = {name: _told(name, sentences) or ALWAYS.get(name, "") for name in names}
    return {name: meaning for name, meaning in told.items() if meaning}


def _told(name: str, sentences: Iterable[str]) -> str:
    mentions = [each for each in sentences if f"`{name}`" in each]
    return " ".join([each for each in mentions if _heads(each, name)] or mentions)


def _heads(sentence: str, name: str) -> bool:
    head = _HEAD.match(sentence)
    return head is not None and f"`{name}`" in head[0]
