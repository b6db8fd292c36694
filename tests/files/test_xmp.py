"""One packet: what is set in it, what stays, and what is not touched at all."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from PIL import Image as PillowImage
from PIL import ImageOps

from pickroom.core.records import CropBox
from pickroom.files import xmp

WANTED = {**xmp.rating(5, "Green"), **xmp.crop(CropBox(0.1, 0.2, 0.7, 0.9), xmp.StoredFrame(600, 800))}
DC = "http://purl.org/dc/elements/1.1/"
# as Lightroom writes it: elements and attributes, several descriptions, a saved snapshot with crops of its own
LIGHTROOM = f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Adobe XMP Core 7.0">
 <!-- kept -->
 <rdf:RDF xmlns:rdf="{xmp.RDF}">
  <rdf:Description rdf:about="" xmlns:xap="{xmp.XMP}" xmlns:crs="{xmp.CRS}" xmlns:dc="{DC}"
    xap:Label="Blue" xap:CreatorTool="a &quot;tool&quot; &amp; &#10;more" crs:Exposure2012="+0.35" crs:HasCrop="False">
   <dc:subject><rdf:Bag><rdf:li>holiday &lt;2025&gt;</rdf:li><rdf:li>ähre</rdf:li></rdf:Bag></dc:subject>
   <xap:Rating>2</xap:Rating>
   <crs:SavedSettings><rdf:Description crs:CropTop="0.5" crs:HasCrop="True"/></crs:SavedSettings>
  </rdf:Description>
  <rdf:Description rdf:about="" xmlns:exif="http://ns.adobe.com/exif/1.0/" exif:FNumber="28/10"/>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>
"""


def values(packet: bytes) -> dict[str, str]:
    """Every attribute and plain element of the picture's own descriptions, read by another parser."""
    found = {}
    for description in ElementTree.fromstring(packet).findall(f"{{{xmp.RDF}}}RDF/{{{xmp.RDF}}}Description"):
        found |= description.attrib
        found |= {child.tag: child.text for child in description if child.text and child.text.strip()}
    return {name.rpartition("}")[2]: value for name, value in found.items()}


def test_new_packet_holds_what_lightroom_and_darktable_read() -> None:
    found = values(xmp.merge(None, WANTED))
    assert found == {
        "about": "",
        "Rating": "5",
        "Label": "Green",
        "HasCrop": "True",
        "CropAngle": "0",
        "CropTop": "0.2",
        "CropLeft": "0.1",
        "CropBottom": "0.9",
        "CropRight": "0.7",
        "ImageWidth": "600",
        "ImageLength": "800",
        "Orientation": "1",
    }


def test_merged_packet_keeps_everything_else() -> None:
    merged = xmp.merge(LIGHTROOM.encode(), WANTED)
    before, after = values(LIGHTROOM.encode()), values(merged)
    ours = {name for _, name in WANTED}
    assert {name: value for name, value in after.items() if name not in ours} == {
        name: value for name, value in before.items() if name not in ours
    }
    assert {name: after[name] for name in ("Rating", "Label", "HasCrop")} == {
        "Rating": "5",
        "Label": "Green",
        "HasCrop": "True",
    }
    text = merged.decode()
    for kept in ("<?xpacket begin=", "<!-- kept -->", "<?xpacket end=", "ähre", "xmlns:xap", 'crs:CropTop="0.5"'):
        assert kept in text
    assert text.count("Rating") == 1  # the element it was before is gone
    assert xmp.merge(merged, WANTED) == merged


def test_prefix_that_means_something_else_there_is_not_taken() -> None:
    packet = (
        f'<rdf:RDF xmlns:rdf="{xmp.RDF}"><rdf:Description rdf:about="" xmlns:xmp="urn:other" xmp:Rating="7"/></rdf:RDF>'
    )
    merged = xmp.merge(packet.encode(), xmp.rating(1, None))
    assert xmp.properties(merged, xmp.rating(1, None)) == {(xmp.XMP, "Rating"): "1"}
    assert b'xmp:Rating="7"' in merged


@pytest.mark.parametrize(
    ("packet", "why"),
    [
        (b"", "not XML"),
        (b"<a><b></a>", "not XML"),
        (b"<html/>", "no XMP"),
        (LIGHTROOM.encode("utf-16"), "not in UTF-8"),
        (b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>', "document type"),
    ],
)
def test_packet_that_cannot_be_merged_safely_is_refused(packet: bytes, why: str) -> None:
    with pytest.raises(xmp.PacketError, match=why):
        xmp.merge(packet, WANTED)


@settings(max_examples=40, deadline=None)
@given(text=some.text(some.characters(codec="utf-8", exclude_characters="\0"), max_size=20))
def test_whatever_another_program_wrote_is_kept_or_refused(text: str) -> None:
    root = ElementTree.fromstring(LIGHTROOM)
    root.find(f".//{{{xmp.RDF}}}Description").set("title", text)
    root.find(f".//{{{xmp.RDF}}}li").text = text
    packet = ElementTree.tostring(root)
    try:
        before = ElementTree.fromstring(packet)
    except ElementTree.ParseError:
        with pytest.raises(xmp.PacketError):  # control characters are not XML
            xmp.merge(packet, WANTED)
        return
    try:
        after = ElementTree.fromstring(xmp.merge(packet, WANTED))
    except xmp.PacketError:
        return
    for path in (f".//{{{xmp.RDF}}}Description", f".//{{{xmp.RDF}}}li"):
        assert after.find(path).get("title") == before.find(path).get("title")
        assert (after.find(path).text or "").strip() == (before.find(path).text or "").strip()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_crop_is_in_the_frame_of_the_stored_picture(orientation: int) -> None:
    stored = PillowImage.fromarray(np.random.default_rng(orientation).integers(0, 255, (40, 60, 3), dtype=np.uint8))
    stored.getexif()[0x0112] = orientation
    upright = ImageOps.exif_transpose(stored)
    box = CropBox(0.1, 0.2, 0.6, 0.9)
    found = {name: value for (_, name), value in xmp.crop(box, xmp.StoredFrame(*upright.size, orientation)).items()}
    assert (found["ImageWidth"], found["ImageLength"], found["Orientation"]) == ("60", "40", str(orientation))
    edges = [float(found[f"Crop{edge}"]) for edge in ("Left", "Top", "Right", "Bottom")]
    part = stored.crop([round(e * s) for e, s in zip(edges, (60, 40, 60, 40), strict=True)])
    part.getexif()[0x0112] = orientation
    seen = upright.crop([round(e * s) for e, s in zip(box.to_list(), upright.size * 2, strict=True)])
    assert np.array_equal(np.asarray(ImageOps.exif_transpose(part)), np.asarray(seen))


@pytest.mark.parametrize(
    ("said", "another"),
    [
        ('photoshop:SidecarForExtension="CR2"', True),
        ('photoshop:SidecarForExtension="jpg"', False),
        ('crs:RawFileName="a.NEF"', True),
        ('crs:RawFileName="a.JPG"', False),
        ('crs:RawFileName="b.JPG"', True),
        ('crs:RawFileName="as-it-was-called-once.JPG"', False),
        ('crs:HasCrop="True"', False),
    ],
)
@pytest.mark.parametrize("form", ["attribute", "element"])
def test_sidecar_that_names_another_file_is_told(said: str, another: bool, form: str) -> None:
    inside = ""
    if form == "element":
        name, _, value = said.partition("=")
        said, inside = "", f"<{name}>{value[1:-1]}</{name}>"
    packet = (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{xmp.RDF}"><rdf:Description rdf:about="" {said}'
        f' xmlns:crs="{xmp.CRS}" xmlns:photoshop="{xmp.PHOTOSHOP}">{inside}</rdf:Description></rdf:RDF></x:xmpmeta>'
    )
    assert xmp.names_another(packet.encode(), "a.JPG", {"a.JPG", "b.JPG", "a.xmp"}) is another
