"""What is recalled, as it stands with batches and units: as many recalls keep it from leaving as are in force."""

from services.desk.verify.checking import OF_COMPANY, Question, asking

_OF = OF_COMPANY.format("")

_RECALLED = """
SELECT goods.company, item, number, count(*) AS recalls
FROM receiving.recall_goods AS goods JOIN receiving.recall USING (source, id)
WHERE NOT mock AND released_at IS NULL AND tracking = '{tracking}' GROUP BY goods.company, item, number
"""
_COUNTED = f"""
SELECT company, item, each.{{number}}, 'recalls' AS what, cast(coalesce(recalled.recalls, 0) AS text) AS expected,
    cast(each.recalls AS text) AS found
FROM {{table}} AS each LEFT JOIN ({{recalled}}) AS recalled (company, item, {{number}}, recalls)
    USING (company, item, {{number}})
WHERE {_OF} AND each.recalls <> coalesce(recalled.recalls, 0)
"""


def _counted(table: str, tracking: str) -> Question:
    recalled = _RECALLED.format(tracking=tracking)
    return Question(table, _COUNTED.format(table=table, number=tracking, recalled=recalled))


recalled_is_what_recalls_are_about = asking(
    _counted("receiving.batch", "batch"), _counted("receiving.serial", "serial")
)
