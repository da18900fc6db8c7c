"""Functions as statements define them: their bodies, what these say, and calls in expressions."""

from __future__ import annotations

from pglast.parser import ParseError

from safemig.review.types import split_type, type_text
from safemig.review.world import Function
from safemig.sql.fold import skeleton
from safemig.sql.plpgsql import UnreadableBody, read_body
from safemig.sql.tree import Tree, constant, node, options, read_trees, strings, walk


def calls_in(expression: object) -> tuple[Tree, ...]:
    """Return the function calls in an expression."""
    return tuple(body for kind, body in walk(expression) if kind == "FuncCall")


def function_of(body: Tree, text: str) -> Function:
    """Return the function that a CREATE FUNCTION or CREATE PROCEDURE, whose text is `text`, defines."""
    found = options(body.get("options"))
    parameters = [item["FunctionParameter"] for item in body.get("parameters", ())]
    taken = [one for one in parameters if one.get("mode") not in ("FUNC_PARAM_OUT", "FUNC_PARAM_TABLE")]
    parts = found.get("as", {}).get("List", {}).get("items", ())
    return Function(
        language=str(constant(found.get("language")) or "sql").lower(),
        source=(strings(list(parts)) or [""])[0],
        definition=text,
        statements=tuple(_atomic(body["sql_body"])) if "sql_body" in body else (),
        volatility=str(constant(found.get("volatility")) or "volatile").lower(),
        arguments=tuple(split_type(type_text(one.get("argType")))[0] for one in taken),
        optional=sum("defexpr" in one for one in taken),
        is_variadic=any(one.get("mode") == "FUNC_PARAM_VARIADIC" for one in taken),
    )


def returned_by(body: Tree) -> tuple[str, ...]:
    """Return what a CREATE FUNCTION returns: its type, and the columns of OUT arguments or of RETURNS TABLE."""
    parameters = [item["FunctionParameter"] for item in body.get("parameters", ())]
    given = [one for one in parameters if one.get("mode") in ("FUNC_PARAM_OUT", "FUNC_PARAM_INOUT", "FUNC_PARAM_TABLE")]
    columns = [f"{one.get('name', '')} {type_text(one.get('argType'))}" for one in given]
    plain = type_text(body.get("returnType")) if len(given) < 2 else "record"
    return (split_type(plain)[0], *columns)


def default_calls(function: Function) -> tuple[Tree, ...]:
    """Return the calls in the defaults of a function's arguments; none where its definition is not known."""
    if not function.optional or not function.definition:
        return ()
    try:
        [item] = read_trees(function.definition)
    except (ParseError, RecursionError, ValueError):
        return ()
    return calls_in([one["FunctionParameter"].get("defexpr") for one in node(item["stmt"])[1].get("parameters", ())])


def _atomic(wrapped: Tree) -> list[Tree]:
    kind, body = node(wrapped)
    if kind == "List":
        return [statement for item in body.get("items", ()) for statement in _atomic(item)]
    return [wrapped] if kind.endswith("Stmt") and kind != "ReturnStmt" else [{"SelectStmt": {"targetList": [wrapped]}}]


def function_statements(function: Function) -> list[Tree]:
    """Return the statements of a function's body that can be read, those of constant EXECUTEs too."""
    found: list[Tree] = list(function.statements)
    texts: list[str] = []
    if function.language == "sql" and not found:
        texts.append(function.source)
    elif function.language == "plpgsql":
        try:
            for piece in read_body(function.definition):
                if piece.form == "dynamic":
                    texts.append(skeleton(piece.pieces))
                elif piece.form == "statement":
                    texts.append(piece.text)
        except UnreadableBody:
            return found
    for text in texts:
        try:
            found.extend(item["stmt"] for item in read_trees(text))
        except (ParseError, RecursionError):
            continue
    return found
