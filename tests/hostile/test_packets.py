"""Hostile XMP: a packet is merged with everything else that it holds, or refused in a few words."""

from __future__ import annotations

import random
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

from hostile.guard import survive
from hostile.packets import PACKET, WANTED, hostile_packet
from pickroom.files import xmp

CASES = 150


def others(packet: bytes) -> list[Any]:
    """Every element, attribute and text of a packet but those that are set, read by its own word for its encoding."""
    ours = {f"{{{namespace}}}{name}" for namespace, name in WANTED}
    found = []
    root = ElementTree.fromstring(packet)
    for description in root.findall(f".//{{{xmp.RDF}}}RDF/{{{xmp.RDF}}}Description"):
        for child in [child for child in description if child.tag in ours]:
            description.remove(child)  # with all that is in it
    for element in root.iter():
        kept = {name: text for name, text in element.attrib.items() if name not in ours}
        kept.pop(f"{{{xmp.RDF}}}about", None)
        if element.tag not in ours and (
            kept or (element.text or "").strip() or not element.tag.endswith("Description")
        ):
            found.append((element.tag, kept, (element.text or "").strip()))
    return found


def test_a_hostile_packet_is_merged_whole_or_refused() -> None:
    def case(rng: random.Random) -> str:
        packet = hostile_packet(rng)
        try:
            merged = xmp.merge(packet, WANTED)
        except xmp.PacketError as error:
            assert "\n" not in str(error) and len(str(error)) < 200
            return "refused"
        assert xmp.properties(merged, WANTED) == WANTED
        assert others(merged) == others(packet)
        assert xmp.merge(merged, WANTED) == merged
        return "merged"

    tally = survive("exports/packet", CASES, case, megabytes=400)
    assert tally.outcomes["merged"] and tally.outcomes["refused"]


@pytest.mark.parametrize(
    ("packet", "words"),
    [
        (PACKET.replace("<!-- kept -->", "<a>" * 200 + "</a>" * 200), "nested too deeply"),
        (PACKET.replace("<!-- kept -->", "<a/>" * 60_000), "elements and attributes"),
        ('<?xml version="1.0" encoding="latin-1"?>' + PACKET, "not in UTF-8"),
        ('<?xml version="1.0" encoding="shift_jis"?>' + PACKET, "not in UTF-8"),
        ('<?xml version="1.0" encoding="no-such"?>' + PACKET, "not in UTF-8"),
        (PACKET.replace("<!-- kept -->", "<a"), "not XML"),
    ],
    ids=["deep", "wide", "another encoding", "an encoding of many bytes", "no encoding", "no end"],
)
def test_a_packet_that_cannot_be_written_back_is_refused(packet: str, words: str) -> None:
    with pytest.raises(xmp.PacketError, match=words):
        xmp.merge(packet.removeprefix("\ufeff").encode(), WANTED)


def test_an_empty_namespace_comes_back() -> None:
    packet = PACKET.replace("<!-- kept -->", '<plain xmlns="" a="1"/>').removeprefix("\ufeff").encode()
    assert b'<plain xmlns="" a="1"/>' in xmp.merge(packet, WANTED)
