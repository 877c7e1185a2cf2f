"""Prototypes, types and constants from the installed headers.

Called by policy.py (which functions there are, how they are declared), by whoever reads flag names, and by build.py,
which makes the one Headers of a run. Rules: one run of the preprocessor, everything else on demand: a declaration is
parsed when its function is asked for, a type when a declaration names it. Facts that a C parser drops (noreturn,
nonnull, format, assembler names) come from the unstripped text. What cannot be used has a reason: ``why_not``.

Absent on purpose: what functions mean (annotations.py), what libraries export (elf.py).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from pycparser import c_ast
from pycparser.c_parser import CParser, ParseError

from .constants import NotConstantError, expand, literal
from .ctype import BUILTIN_NAMES, CodeType, NotUnderstoodError, Reader, parameters
from .declarations import (
    Declaration,
    Macro,
    Splitter,
    attributes,
    has_body,
    macros,
    mode,
    plain,
    redirect,
    without_attributes,
)
from .errors import UserError
from .libc_rules import PUBLIC_HEADERS
from .model import CType, Function, Platform
from .preprocessor import Preprocessing

_WORDS = (
    "auto break case char const continue default do double else enum extern float for goto if inline int long register"
    " restrict return short signed sizeof static struct switch typedef union unsigned void volatile while _Alignas"
    " _Alignof _Atomic _Bool _Complex _Generic _Imaginary _Noreturn _Static_assert _Thread_local asm typeof"
    " __attribute__ __asm__ __typeof__ __typeof __asm __extension__ __declspec __alignof__ defined"
)
_KEYWORDS = frozenset(_WORDS.split())
_CALL = re.compile(r"\b(?!(?:" + "|".join(_KEYWORDS) + r")\b)([A-Za-z_]\w*)\s*\((?!\s*\*)")
_PARENTHESISED = re.compile(r"\(\s*(?!(?:" + "|".join(_KEYWORDS) + r")\b)([A-Za-z_]\w*)\s*\)\s*\(")
_WORD = re.compile(r"[A-Za-z_]\w*")
_TAG = re.compile(r"\b(struct|union|enum)\s+(?:__attribute__\s*\(\(.*?\)\)\s*)?([A-Za-z_]\w*)\s*\{", re.S)
_ENUM = re.compile(r"\benum\b[^;{}()]*\{([^}]*)\}")
_ENUMERATOR = re.compile(r"([A-Za-z_]\w*)\s*(?:=[^,]*)?(?:,|$)")
_TYPEDEF = re.compile(r"(?:__extension__\s+)?typedef\b")
_RESERVED = frozenset({"ret"})
"""Names with a meaning of their own in expressions over parameters, besides C's keywords and macros."""


class Headers:
    """The declarations of a set of headers. Made by ``Headers.read``."""

    def __init__(self, text: str, requested: Sequence[str], include_dirs: Sequence[str]) -> None:
        self.requested = tuple(requested)
        self.include_dirs = tuple(include_dirs)
        self._text = text
        self._parser = CParser()
        self._functions: dict[str, list[Declaration]] = {}
        self._typedefs: dict[str, Declaration] = {}
        self._tags: dict[tuple[str, str], Declaration] = {}
        self._others: list[Declaration] = []
        self._enumerators: dict[str, Declaration] | None = None
        self._values: dict[str, int] = {}
        self._macros: dict[str, Macro] | None = None
        self._nodes: dict[tuple[str, str], Any] = {}
        self._parsed: dict[str, c_ast.FileAST] = {}
        self._found: dict[str, Function | str] = {}
        self._reader = Reader(self._typedef, self._tag, self._enumerator)
        for declaration in Splitter(requested, include_dirs).split(text):
            self._index(declaration)

    @classmethod
    def read(
        cls,
        headers: Sequence[str] = (),
        include_dirs: Sequence[str] = (),
        platform: Platform | None = None,
        running: Preprocessing | None = None,
    ) -> Headers:
        """Return the declarations of libc's public headers and of *headers*. Raises UserError if one cannot be read.

        *running* is the preprocessor at work on the same headers, when it was started before.
        """
        running = running or Preprocessing.of_headers((platform or Platform()).compiler, headers, include_dirs)
        text, searched = running.finish()
        return cls(text, [*PUBLIC_HEADERS, *headers], searched)

    @classmethod
    def of_text(cls, source: str, platform: Platform | None = None) -> Headers:
        """Return the declarations of C source: for tests, and for prototypes that no header holds."""
        text, searched = Preprocessing((platform or Platform()).compiler, source, ()).finish()
        return cls(text, (), searched)

    # --- functions ---------------------------------------------------------------------------------------------------

    @property
    def declared(self) -> Collection[str]:
        """Names of all functions declared."""
        return self._functions.keys()

    def function(self, name: str) -> Function | None:
        """Return the function *name* as declared, None when it is not declared or ``why_not`` has a reason."""
        if name in self._functions and name not in self._found:
            self._read_functions([name])
        found = self._found.get(name)
        return found if isinstance(found, Function) else None

    def functions(self, names: Iterable[str]) -> dict[str, Function]:
        """Return those of *names* that can be used; parses them together, which is faster than one by one."""
        wanted = [n for n in dict.fromkeys(names) if n in self._functions]
        self._read_functions([n for n in wanted if n not in self._found])
        return {n: f for n in wanted if (f := self.function(n)) is not None}

    def why_not(self, name: str) -> str | None:
        """Return why a declared function's prototype cannot be used, None if it can (or is not declared)."""
        self.function(name)
        found = self._found.get(name)
        return found if isinstance(found, str) else None

    def prototype(self, text: str) -> Function:
        """Return the function that a prototype written in C declares. Raises UserError."""
        stripped = text.strip().rstrip(";").strip()
        match = _CALL.search(without_attributes(stripped))
        if match is None or set(stripped) & set(";{}#\\"):
            raise UserError(f"not a function prototype: {text}", why="one prototype in C is needed", try_=_EXAMPLE)
        name = match.group(1)
        try:
            code = self._code(name, self._parse(stripped + ";"))
            return self._made(name, code, [Declaration(stripped + ";", "", 0, "")])
        except (ParseError, NotUnderstoodError, NotConstantError) as error:
            raise UserError(f"not a prototype that is understood: {text}", why=_clause(error), try_=_EXAMPLE) from error

    def type(self, text: str) -> CType:
        """Return the type that C spells as *text*, as ``struct stat``. Raises NotUnderstoodError or ParseError."""
        tree = self._parse(f"{text} wci__type;")
        shape = self._reader.shape(tree.ext[-1].type)
        if not isinstance(shape, CType):
            raise NotUnderstoodError("is an array or a function")
        return shape

    def owners(self, functions: Iterable[str]) -> set[str]:
        """Return the requested headers that declare *functions*."""
        return {self._functions[n][0].owner for n in functions if n in self._functions}

    def type_owners(self, words: Iterable[str]) -> set[str]:
        """Return the requested headers that define the typedefs and tags among *words*."""
        kinds = ("struct", "union", "enum")
        found = [self._typedefs.get(w) for w in words]
        found += [self._tags.get((kind, w)) for w in words for kind in kinds]
        return {declaration.owner for declaration in found if declaration is not None}

    def _read_functions(self, names: list[str]) -> None:
        if len(names) > 1:
            trees = self._parse_together(names)
        else:
            trees = {}
        for name in names:
            try:
                tree = trees.get(name) or self._parse(self._chosen(name))
                self._found[name] = self._made(name, self._code(name, tree), self._functions[name])
            except (NotUnderstoodError, NotConstantError) as error:
                self._found[name] = f"its declaration {_clause(error)}"
            except ParseError as error:
                self._found[name] = f"its declaration could not be parsed ({_clause(error)})"

    def _chosen(self, name: str) -> str:
        """Return the declaration to parse: one with parameters where there is a choice."""
        texts = [d.text for d in self._functions[name]]
        return next((t for t in texts if not re.search(r"\(\s*\)\s*(?:__attr|;|$)", without_attributes(t))), texts[0])

    def _parse_together(self, names: list[str]) -> dict[str, c_ast.FileAST]:
        texts = [plain(self._chosen(name)) for name in names]
        try:
            tree = self._parse_plain("\n".join(texts))
        except ParseError:
            return {}
        return {e.name: c_ast.FileAST([e]) for e in tree.ext if isinstance(e, c_ast.Decl) and e.name}

    def _code(self, name: str, tree: c_ast.FileAST) -> CodeType:
        for external in tree.ext:
            if isinstance(external, c_ast.Decl) and external.name == name:
                shape = self._reader.shape(external.type)
                if isinstance(shape, CodeType):
                    if shape.params is None:
                        raise NotUnderstoodError("has empty parentheses, which say nothing about its parameters")
                    return shape
        raise NotUnderstoodError("declares no such function")

    def _made(self, name: str, code: CodeType, declarations: list[Declaration]) -> Function:
        first = declarations[0]
        return Function(
            name=name,
            result=code.result,
            params=parameters(code, self._taken),
            variadic=code.variadic,
            origin=f"{first.header}:{first.line}" if first.header else "",
            attributes=frozenset().union(*(attributes(d.text) for d in declarations)),
            redirect=next(filter(None, (redirect(d.text) for d in declarations)), ""),
        )

    def _taken(self, name: str) -> bool:
        """Whether C (a keyword, a macro) or an expression over parameters gives *name* another meaning."""
        if name in _KEYWORDS or name in _RESERVED:
            return True
        macro = self.macros.get(name)
        return macro is not None and macro.parameters is None

    # --- constants ---------------------------------------------------------------------------------------------------

    @property
    def macros(self) -> Mapping[str, Macro]:
        """The macros that the headers define."""
        if self._macros is None:
            self._macros = macros(self._text)
        return self._macros

    @property
    def enumerators(self) -> Collection[str]:
        """Names of all enumerators."""
        return self._enumerator_index().keys()

    def constant(self, name: str) -> int | None:
        """Return the value of a macro or an enumerator, None if it has none or is no integer."""
        try:
            return self._constant(name)
        except (NotConstantError, NotUnderstoodError, ParseError, ValueError):
            return None

    def _constant(self, name: str) -> int:
        macro = self.macros.get(name)
        if macro is None or macro.body.strip() == name:
            return self._enumerator(name)
        if macro.parameters is not None:
            raise NotConstantError("a function-like macro")
        expanded = expand(name, self.macros).strip()
        if (value := literal(expanded)) is not None:
            return value.number
        if not expanded or '"' in expanded:
            raise NotConstantError("no expression")
        tree = self._parse(f"int wci__value = ({expanded});")
        return self._reader.number(tree.ext[-1].init)

    def _enumerator_index(self) -> dict[str, Declaration]:
        if self._enumerators is None:
            self._enumerators = {}
            for declaration in [*self._others, *self._typedefs.values()]:
                for body in _ENUM.findall(declaration.text) if "enum" in declaration.text else ():
                    self._enumerators.update((n, declaration) for n in _ENUMERATOR.findall(body))
        return self._enumerators

    def _enumerator(self, name: str) -> int:
        if name not in self._values:
            declaration = self._enumerator_index().get(name)
            if declaration is None:
                raise NotConstantError(f"{name} is not defined")
            for node in _walk(self._parse(declaration.text)):
                if isinstance(node, c_ast.Enum) and node.values is not None:
                    self._count_enumerators(node)
        return self._values[name]

    def _count_enumerators(self, node: c_ast.Enum) -> None:
        following = 0
        for enumerator in node.values.enumerators:
            if enumerator.value is not None:
                following = self._reader.number(enumerator.value)
            self._values[enumerator.name] = following
            following += 1

    # --- names to syntax trees ---------------------------------------------------------------------------------------

    def _index(self, declaration: Declaration) -> None:
        text = declaration.text
        if _TYPEDEF.match(text):
            for name in _typedef_names(text):
                self._typedefs.setdefault(name, declaration)
        elif "{" in text and not has_body(text):
            self._others.append(declaration)
        elif (function := _function_name(text)) is not None:
            self._functions.setdefault(function, []).append(declaration)
            return
        if "{" in text:
            for keyword, tag in _TAG.findall(text):
                self._tags.setdefault((keyword, tag), declaration)

    def _typedef(self, name: str) -> tuple[c_ast.Node, str]:
        declaration = self._typedefs.get(name)
        if declaration is None:
            raise NotUnderstoodError(f"uses the type {name}, which is not defined")
        if kind := mode(declaration.text):
            unsigned = "unsigned " if "unsigned" in declaration.text else ""
            return self._parse(f"typedef {unsigned}{kind} {name};").ext[-1], ""
        for external in self._parse(declaration.text).ext:
            if isinstance(external, c_ast.Typedef) and external.name == name:
                return external, declaration.text
        raise NotUnderstoodError(f"uses the type {name}, whose definition is not understood")

    def _tag(self, keyword: str, tag: str) -> Any | None:
        key = (keyword, tag)
        if key not in self._nodes and key in self._tags:
            for node in _walk(self._parse(self._tags[key].text)):
                if isinstance(node, (c_ast.Struct, c_ast.Union, c_ast.Enum)) and node.name:
                    self._keep(node)
        return self._nodes.get(key)

    def _keep(self, node: Any) -> None:
        body = node.values if isinstance(node, c_ast.Enum) else node.decls
        if body is not None:
            self._nodes.setdefault((type(node).__name__.lower(), node.name), node)

    def _parse(self, text: str) -> c_ast.FileAST:
        if text not in self._parsed:
            self._parsed[text] = self._parse_plain(plain(text))
        return self._parsed[text]

    def _parse_plain(self, text: str) -> c_ast.FileAST:
        """Parse declarations; the typedef names in them are made known, what they stand for is looked up later."""
        words = set(_WORD.findall(text))
        own = set(_typedef_names(text)) if _TYPEDEF.match(text) else set()
        names = sorted(words & (self._typedefs.keys() | BUILTIN_NAMES) - own)
        tree = self._parser.parse(f"typedef int {','.join(names)};\n{text}" if names else text)
        return c_ast.FileAST(tree.ext[len(names) :])


_EXAMPLE = '"prototype": "int add(int a, int b)"'


def _clause(error: Exception) -> str:
    return str(error).lstrip(":0123456789 ") if isinstance(error, ParseError) else str(error)


def _walk(node: c_ast.Node) -> Iterable[c_ast.Node]:
    yield node
    for child in node:
        yield from _walk(child)


def _function_name(text: str) -> str | None:
    """Return the name that a declaration gives to a function, None if it seems to declare none."""
    match = _CALL.search(text)
    if match is not None and "__a" in text[: match.start()]:
        text = without_attributes(text)
        match = _CALL.search(text)
    enclosed = _PARENTHESISED.search(text)
    if enclosed is not None and (match is None or enclosed.start() < match.end()):
        return enclosed.group(1)
    return match.group(1) if match else None


def _typedef_names(text: str) -> list[str]:
    """Return the names that a typedef defines."""
    text = without_attributes(text)
    while "{" in text:
        shorter = re.sub(r"\{[^{}]*\}", " ", text)
        if shorter == text:
            return []
        text = shorter
    return [n for d in _split_commas(text.rstrip().rstrip(";")) if (n := _declared(d)) and n not in _KEYWORDS]


def _declared(declarator: str) -> str:
    """Return the name that a declarator of a typedef defines: before the first parenthesis, or nested in it."""
    head, bracket, rest = declarator.partition("(")
    if bracket and rest.lstrip()[:1] in ("*", "("):
        nested = re.search(r"\(\s*\*[\s*]*(?:const\s+)?([A-Za-z_]\w*)", declarator)
    else:
        nested = _PARENTHESISED.match(bracket + rest)
    if nested:
        return nested.group(1)
    words = _WORD.findall(head.split("[", 1)[0])
    return words[-1] if words else ""


def _split_commas(text: str) -> list[str]:
    parts, depth = [""], 0
    for letter in text:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts
