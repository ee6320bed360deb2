"""The command tree: patterns such as ":INPut[n][:CHANnel[m]]:ATTenuation?" and the headers that match them.

In a pattern capitals are the short form and the whole word is the long form; nothing between them matches, and case
does not matter. `[n]` after a word is a numeric suffix that is 1 when left out, `<n>` one that must be given.
`[:WORD]` is an optional node, `[:ONE|:TWO]` an optional node with two names.
"""

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from sim_devices.firmware.scpi_errors import HEADER_SUFFIX_OUT_OF_RANGE, UNDEFINED_HEADER, ScpiError

_SEGMENT = re.compile(
    r"\[((?::[A-Za-z0-9]+(?:\[\w+\]|<\w+>)?\|?)+)\]|(:[A-Za-z0-9]+(?:\[[a-z]+\]|<[a-z]+>)?)"
)
_NODE = re.compile(r":([A-Za-z0-9]+?)(?:\[([a-z]+)\]|<([a-z]+)>)?$")
_WORD_AND_NUMBER = re.compile(r"([A-Z_]+)(\d+)")


@lru_cache(maxsize=4096)
def keyword_forms(keyword: str) -> tuple[str, str]:
    """Short and long form of a keyword such as "ATTenuation", in capitals."""
    return "".join(letter for letter in keyword if not letter.islower()), keyword.upper()


@dataclass(frozen=True)
class Request:
    """One command or query as a handler sees it."""

    header: str
    suffixes: Mapping[str, int]
    parameters: tuple[bytes, ...]


Handler = Callable[[Request], str | bytes | None]


@dataclass(frozen=True)
class Match:
    """The handler of a header, its numeric suffixes by name, and the path that the next unit starts from."""

    handler: Handler
    suffixes: Mapping[str, int]
    path: tuple[str, ...]


@dataclass(frozen=True)
class _Node:
    keyword: str
    suffix: str | None
    required: bool


@dataclass
class _Branch:
    children: dict[str, "_Branch"] = field(default_factory=dict)
    leaves: dict[bool, list[tuple[tuple[_Node, ...], Handler]]] = field(
        default_factory=lambda: {False: [], True: []}
    )


class CommandTree:
    """All commands and queries of an instrument, found by header in one walk."""

    def __init__(self, table: Mapping[str, Handler]) -> None:
        self._table = table
        self._root = _Branch()
        self._common: dict[str, Handler] = {}
        for pattern, handler in table.items():
            self._add(pattern, handler)

    def find(self, header: str, path: tuple[str, ...]) -> Match:
        """Match an upper-case header, relative to `path` unless it begins with a colon or an asterisk.

        Raises ScpiError -113 for an unknown header and -114 for a numeric suffix where none may stand.
        """
        if header.startswith("*"):
            if header not in self._common:
                raise ScpiError(UNDEFINED_HEADER)
            return Match(self._common[header], {}, path)
        is_query = header.endswith("?")
        words = header.removesuffix("?").removeprefix(":").split(":")
        tokens = tuple(words) if header.startswith(":") else (*path, *words)
        branch, numbers = self._walk(tokens)
        candidates = branch.leaves[is_query]
        if not candidates:
            raise ScpiError(UNDEFINED_HEADER)
        for nodes, handler in candidates:
            suffixes = _suffixes(nodes, numbers)
            if suffixes is not None:
                return Match(handler, suffixes, tokens[:-1])
        raise ScpiError(HEADER_SUFFIX_OUT_OF_RANGE)

    def headers(self) -> Iterator[str]:
        """Every header in the style of :SYSTem:HELP:HEADers?, tagged where only one of command and query exists."""
        names = dict.fromkeys(pattern.removesuffix("?") for pattern in self._table)
        for name in names:
            listed = re.sub(r"\[[a-z]+\]|<[a-z]+>", "", name)
            command, query = name in self._table, name + "?" in self._table
            yield listed + ("" if command and query else "/nquery/" if command else "/qonly/")

    def _add(self, pattern: str, handler: Handler) -> None:
        if pattern.startswith("*"):
            self._common[pattern] = handler
            return
        is_query = pattern.endswith("?")
        for nodes in _expansions(pattern.removesuffix("?")):
            branch = self._root
            for node in nodes:
                short, long = keyword_forms(node.keyword)
                known = branch.children.get(long)
                if known is not branch.children.get(short):
                    raise ValueError(f"{pattern!r}: {short} would stand for two keywords")
                branch.children[short] = branch.children[long] = branch = known or _Branch()
            branch.leaves[is_query].append((nodes, handler))

    def _walk(self, tokens: Iterable[str]) -> tuple[_Branch, list[int | None]]:
        branch, numbers = self._root, []
        for token in tokens:
            word, number = token, None
            if token not in branch.children and (match := _WORD_AND_NUMBER.fullmatch(token)):
                word, number = match[1], int(match[2])
            if word not in branch.children:
                raise ScpiError(UNDEFINED_HEADER)
            branch = branch.children[word]
            numbers.append(number)
        return branch, numbers


def _suffixes(nodes: tuple[_Node, ...], numbers: list[int | None]) -> dict[str, int] | None:
    """The numeric suffixes by name, or None if the numbers do not stand where the pattern has them."""
    found: dict[str, int] = {}
    for node, number in zip(nodes, numbers, strict=True):
        if (number is None and node.required) or (number is not None and node.suffix is None):
            return None
        if node.suffix is not None:
            found[node.suffix] = 1 if number is None else number
    return found


def _expansions(pattern: str) -> Iterator[tuple[_Node, ...]]:
    """Every way to write a pattern: with and without each optional node, with each of its names."""
    segments: list[list[tuple[_Node, ...]]] = []
    position = 0
    for match in _SEGMENT.finditer(pattern):
        if match.start() != position:
            raise ValueError(f"command pattern {pattern!r} cannot be read at {pattern[position:]!r}")
        position = match.end()
        optional, mandatory = match[1], match[2]
        names = optional.split("|") if optional else [mandatory]
        segments.append([(_node(name),) for name in names] + ([()] if optional else []))
    if position != len(pattern):
        raise ValueError(f"command pattern {pattern!r} cannot be read at {pattern[position:]!r}")
    for choice in itertools.product(*segments):
        yield tuple(itertools.chain.from_iterable(choice))


def _node(text: str) -> _Node:
    match = _NODE.match(text)
    if match is None:
        raise ValueError(f"command pattern node {text!r} cannot be read")
    return _Node(match[1], match[2] or match[3], required=match[3] is not None)
