"""XMP packets as trees whose values are changed in the packet's own bytes; the rest stays byte for byte. Pure.

Sources: XMP specification, part 1 (ISO 16684-1): 7.4 to 7.9, the forms of RDF that properties take (attributes or
elements, structures, arrays, rdf:value with qualifiers); part 3, 1.1: the packet's encoding and its padding.
"""

import codecs
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_ARRAYS = tuple(f"{RDF} {name}" for name in ("Bag", "Seq", "Alt"))
_TAG = re.compile(rb"""<[^\s/>]+(?P<attributes>(?:[^"'>]|"[^"]*"|'[^']*')*?)/?>""")
_ATTRIBUTE = re.compile(rb"""\s+([^\s=]+)\s*=\s*("[^"]*"|'[^']*')""")
_PACKET_END = b"<?xpacket end"
_WIDE = {  # how a packet that is not in UTF-8 begins
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
    b"<\0": "utf-16-le",
    b"\0<": "utf-16-be",
}
_DEEPEST = 100  # elements within elements
_MOST_PARTS = 50_000  # elements and attributes: Camera Raw's packets have some thousands


class PacketError(ValueError):
    """A packet that cannot be read; the message says why."""


@dataclass(slots=True, eq=False)
class Node:
    """An element or an attribute: `name` is "namespace local", the offsets are of the packet's bytes."""

    name: str
    start: int  # of the element, or of the space before the attribute
    inner: tuple[int, int] = (0, 0)  # between the tags or the quotes
    end: int = 0
    text: str = ""
    spaces: Mapping[str, str] = field(default_factory=dict)  # namespaces in scope, by prefix
    attributes: list["Node"] = field(default_factory=list)
    children: list["Node"] = field(default_factory=list)

    @property
    def value(self) -> str:
        """The text of a plain property, qualified or not."""
        return self.plain().text.strip()

    def fields(self) -> dict[str, "Node"]:
        """The fields of a structure by name."""
        holder = self
        if len(self.children) == 1 and self.children[0].name == f"{RDF} Description":
            holder = self.children[0]
        return {node.name: node for node in (*holder.attributes, *holder.children)}

    def items(self) -> list["Node"]:
        """The items of an array."""
        return [item for array in self.children if array.name in _ARRAYS for item in array.children]

    def walk(self) -> Iterator["Node"]:
        """This node's attributes and elements, and theirs."""
        for node in (*self.attributes, *self.children):
            yield node
            yield from node.walk()

    def plain(self) -> "Node":
        """The node that has the value: this one, or the rdf:value of a property with qualifiers."""
        return self.fields().get(f"{RDF} value", self)


class Packet:
    """One packet, and the changes that `content` makes in it."""

    def __init__(self, data: bytes) -> None:
        """Read a packet; raises PacketError where it is not XML, or has a document type."""
        self._encoding = next((name for mark, name in _WIDE.items() if data.startswith(mark)), "")
        self._source = data
        self._data = data
        self._edits: dict[tuple[int, int], bytes] = {}
        if self._encoding:
            try:
                self._data = data.decode(self._encoding).encode()
            except UnicodeError as error:
                raise PacketError(f"it is not in {self._encoding.upper()}") from error
        self._root = _parse(self._data, "utf-8" if self._encoding else None)

    def properties(self) -> list[Node]:
        """The picture's own properties, from every description; not those of other pictures that it names."""
        descriptions = (description for block in self._blocks() for description in block.children)
        return [node for one in descriptions for node in (*one.attributes, *one.children)]

    def _blocks(self) -> list[Node]:
        return [node for node in (self._root, *self._root.walk()) if node.name == f"{RDF} RDF"]

    def says_something(self) -> bool:
        """Whether a property is left once what was removed is gone."""
        return any(
            not any(start <= node.start and node.end <= end for (start, end), value in self._edits.items() if not value)
            for node in self.properties()
            if not node.name.startswith(f"{RDF} ")
        )

    def set(self, node: Node, value: str) -> None:
        """Give a plain property that has a value another one, of characters that XML does not escape."""
        plain = node.plain()
        if plain.text.strip() not in ("", value):
            self._edits[plain.inner] = value.encode()

    def remove(self, node: Node) -> None:
        """Take a property or an array's item out, with the space before it."""
        start = node.start
        while self._data[start - 1 : start].isspace():
            start -= 1
        self._edits[start, node.end] = b""

    def add(self, values: Mapping[tuple[str, str], str], prefixes: Mapping[str, str]) -> None:
        """Write properties into the first description, as attributes; raises PacketError where nothing is XMP.

        Args:
            values: by namespace and name.
            prefixes: of the namespaces, where the packet has none for them that is not taken.
        """
        blocks = self._blocks()
        if len(blocks) != 1:
            raise PacketError("it holds no XMP")
        own = [node for node in blocks[0].children if node.name == f"{RDF} Description"]
        holder, written = (own or blocks)[0], ""
        spaces = dict(holder.spaces)
        for (namespace, name), value in values.items():
            prefix = next((prefix for prefix, uri in spaces.items() if prefix and uri == namespace), "")
            if not prefix:
                prefix = prefixes[namespace]
                while prefix in spaces:
                    prefix += "_"
                spaces[prefix] = namespace
                written += f' xmlns:{prefix}="{namespace}"'
            written += f" {prefix}:{name}={quoteattr(value)}"
        if not own:
            written = f'<rdf:Description xmlns:rdf="{RDF}" rdf:about=""{written}/>'
        behind_tag = holder.inner[0]
        closed = self._data[behind_tag - 2 : behind_tag] == b"/>"
        if own:
            at = behind_tag - (2 if closed else 1)
            self._edits[at, at] = written.encode()
        elif closed:
            tag = self._data[holder.start + 1 : behind_tag].split(None, 1)[0].removesuffix(b"/>")
            self._edits[behind_tag - 2, behind_tag] = b">" + written.encode() + b"</" + tag + b">"
        else:
            self._edits[holder.inner[1], holder.inner[1]] = written.encode()

    def content(self) -> bytes:
        """The packet with all changes, as long as before where its padding allows; `data` itself without any."""
        if not self._edits:
            return self._source
        parts, at = [], 0
        for (start, end), value in sorted(self._edits.items(), key=lambda edit: (edit[0][0], -edit[0][1])):
            if start >= at:  # else within what is removed
                parts += [self._data[at:start], value]
                at = end
        changed = b"".join((*parts, self._data[at:]))
        end = changed.rfind(_PACKET_END)
        content = changed[: max(end, 0)].rstrip()
        if end > 0 and (room := len(self._data) - len(content) - len(changed[end:])) >= 0:
            changed = content + (changed[len(content) : end] + b" " * room)[:room] + changed[end:]
        return changed.decode().encode(self._encoding) if self._encoding else changed


def _parse(data: bytes, encoding: str | None) -> Node:
    body = data.removeprefix(codecs.BOM_UTF8).strip(b"\0 \t\r\n")  # some writers end packets with zeros
    begin = data.find(body)
    parser = expat.ParserCreate(encoding, " ")
    parser.ordered_attributes = True
    parser.buffer_text = True
    root = Node("", 0)
    opened, parts = [root], 0
    declared: dict[str, str] = {}

    def start(name: str, attributes: list[str]) -> None:
        nonlocal parts, declared
        parts += 1 + len(attributes) // 2
        if len(opened) > _DEEPEST:
            raise PacketError("it is nested too deeply")
        if parts > _MOST_PARTS:
            raise PacketError(f"it holds more than {_MOST_PARTS:,} elements and attributes")
        at = begin + parser.CurrentByteIndex
        tag = _TAG.match(data, at)
        if tag is None:
            raise PacketError("it is not XML")
        node = Node(name, at, (tag.end(), tag.end()), tag.end(), spaces=declared or opened[-1].spaces)
        declared = {}
        written = [
            match
            for match in _ATTRIBUTE.finditer(data, *tag.span("attributes"))
            if match[1] != b"xmlns" and not match[1].startswith(b"xmlns:")
        ]
        for match, attribute, value in zip(written, attributes[::2], attributes[1::2], strict=True):
            inner = (match.start(2) + 1, match.end(2) - 1)
            node.attributes.append(Node(attribute, match.start(), inner, match.end(), value))
        opened[-1].children.append(node)
        opened.append(node)

    def end(name: str) -> None:
        node = opened.pop()
        at = begin + parser.CurrentByteIndex
        if data[at : at + 2] == b"</":
            node.inner = (node.inner[0], at)
            node.end = data.index(b">", at) + 1

    def text(characters: str) -> None:
        opened[-1].text += characters

    def doctype(*_: object) -> None:
        # no document type belongs in XMP (part 1, 7.3.1), and entities are how a file can stand for endless text
        raise PacketError("it has a document type")

    def namespace(prefix: str | None, uri: str) -> None:  # before the element that declares it
        nonlocal declared
        declared = {**(declared or opened[-1].spaces), prefix or "": uri}

    parser.StartNamespaceDeclHandler = namespace
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(body, True)
    except PacketError:
        raise
    except (expat.ExpatError, LookupError, ValueError) as error:  # the others: an encoding that expat does not know
        raise PacketError(f"it is not XML ({error})") from error
    return root.children[0]
