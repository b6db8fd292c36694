"""XMP packets after a crop: sizes follow, regions move or go, the rest stays byte for byte."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickroom.core.geometry import to_stored
from pickroom.images.crops import xmp
from pickroom.images.crops.rdf import PacketError
from pickroom.images.crops.regions import Cut

LOWER_RIGHT = Cut((800, 400), (400, 200, 800, 400))
SPACES = {
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "tiff": "http://ns.adobe.com/tiff/1.0/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "xmpGImg": "http://ns.adobe.com/xap/1.0/g/img/",
    "xmpNote": "http://ns.adobe.com/xmp/note/",
    "xmpMM": "http://ns.adobe.com/xap/1.0/mm/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "crs": "http://ns.adobe.com/camera-raw-settings/1.0/",
    "crss": "http://ns.adobe.com/camera-raw-saved-settings/1.0/",
    "mwg-rs": "http://www.metadataworkinggroup.com/schemas/regions/",
    "stDim": "http://ns.adobe.com/xap/1.0/sType/Dimensions#",
    "stArea": "http://ns.adobe.com/xmp/sType/Area#",
    "acdsee-rs": "http://ns.acdsee.com/regions/",
    "acdsee-stArea": "http://ns.acdsee.com/sType/Area#",
    "MP": "http://ns.microsoft.com/photo/1.2/",
    "MPRI": "http://ns.microsoft.com/photo/1.2/t/RegionInfo#",
    "MPReg": "http://ns.microsoft.com/photo/1.2/t/Region#",
    "MP1": "http://ns.microsoft.com/photo/1.1",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "photomechanic": "http://ns.camerabits.com/photomechanic/1.0/",
    "GPano": "http://ns.google.com/photos/1.0/panorama/",
    "GDepth": "http://ns.google.com/photos/1.0/depthmap/",
    "GImage": "http://ns.google.com/photos/1.0/image/",
    "GAudio": "http://ns.google.com/photos/1.0/audio/",
    "GCamera": "http://ns.google.com/photos/1.0/camera/",
    "Container": "http://ns.google.com/photos/1.0/container/",
    "Item": "http://ns.google.com/photos/1.0/container/item/",
}


def packet(body: str = "", attributes: str = "", *, padding: int = 0) -> bytes:
    """A packet whose description has these attributes and elements, wrapped where it has padding."""
    spaces = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in SPACES.items() if prefix != "rdf")
    text = (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/">\n<rdf:RDF xmlns:rdf="{SPACES["rdf"]}">\n'
        f'<rdf:Description rdf:about="" {spaces} {attributes}>\n{body}\n</rdf:Description>\n</rdf:RDF>\n</x:xmpmeta>\n'
    )
    if padding:
        text = f'<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n{text}{" " * padding}\n<?xpacket end="w"?>'
    return text.encode()


def area(x: float, y: float, wide: float, high: float, unit: str = "normalized") -> str:
    return f'stArea:x="{x}" stArea:y="{y}" stArea:w="{wide}" stArea:h="{high}" stArea:unit="{unit}"'


def regions(*areas: str, size: tuple[int, int] = (800, 400)) -> str:
    """The Working Group's regions, as Picasa and digiKam write them, named 0, 1, ..."""
    items = "".join(
        f'<rdf:li><rdf:Description mwg-rs:Name="{number}" mwg-rs:Type="Face"><mwg-rs:Area {one}/></rdf:Description>'
        "</rdf:li>"
        for number, one in enumerate(areas)
    )
    return (
        f'<mwg-rs:Regions rdf:parseType="Resource"><mwg-rs:AppliedToDimensions stDim:w="{size[0]}" stDim:h="{size[1]}"'
        f' stDim:unit="pixel"/><mwg-rs:RegionList><rdf:Bag>{items}</rdf:Bag></mwg-rs:RegionList></mwg-rs:Regions>'
    )


def numbers(changed: bytes, *names: str) -> list[float]:
    """Every number that stands at these names, in the order of the packet, as attribute or as element."""
    found = re.findall(rf"(?:{'|'.join(names)})(?:=.|>)([-\d.]+)", changed.decode())
    return [float(value) for value in found]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('tiff:ImageWidth="800" tiff:ImageLength="400"', 'tiff:ImageWidth="400" tiff:ImageLength="200"'),
        ("<exif:PixelXDimension>800</exif:PixelXDimension>", "<exif:PixelXDimension>400</exif:PixelXDimension>"),
        (
            "<tiff:ImageLength rdf:parseType='Resource'><rdf:value>400</rdf:value></tiff:ImageLength>",
            "<tiff:ImageLength rdf:parseType='Resource'><rdf:value>200</rdf:value></tiff:ImageLength>",
        ),
        (
            f"<rdf:Description><t:ImageWidth xmlns:t='{SPACES['tiff']}'>800</t:ImageWidth></rdf:Description>",
            f"<rdf:Description><t:ImageWidth xmlns:t='{SPACES['tiff']}'>800</t:ImageWidth></rdf:Description>",
        ),  # a description within a description is not a property of the picture
        ("<tiff:ImageWidth/>", "<tiff:ImageWidth/>"),
    ],
)
def test_sizes_are_set_in_each_form_of_a_property(before: str, after: str) -> None:
    if before.startswith("<"):
        assert xmp.after_crop(packet(before), LOWER_RIGHT) == packet(after)
    else:
        assert xmp.after_crop(packet(attributes=before), LOWER_RIGHT) == packet(attributes=after)


def test_sizes_are_set_in_every_description_by_any_prefix() -> None:
    space = SPACES["tiff"]
    second = f'<rdf:Description rdf:about="" xmlns:q="{space}" q:ImageWidth="800"/>'
    whole = packet().replace(b"</rdf:RDF>", second.encode() + b"</rdf:RDF>")
    assert xmp.after_crop(whole, LOWER_RIGHT) == whole.replace(b'q:ImageWidth="800"', b'q:ImageWidth="400"')


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le"])
def test_packets_in_wide_characters_are_changed_as_they_are(encoding: str) -> None:
    text = "\ufeff" + packet("<dc:title>ünï</dc:title>", 'tiff:ImageWidth="800"').decode()
    changed = xmp.after_crop(text.encode(encoding), LOWER_RIGHT)
    assert changed.decode(encoding) == text.replace('"800"', '"400"')


@pytest.mark.parametrize(
    "body",
    [
        "<dc:title><rdf:Alt><rdf:li xml:lang='x-default'>a &amp; b &#10; c</rdf:li></rdf:Alt></dc:title>",
        "<!-- kept --><dc:title><![CDATA[<b>]]></dc:title>",
        "<xmpMM:Pantry><rdf:Bag><rdf:li><rdf:Description tiff:ImageWidth='9'/></rdf:li></rdf:Bag></xmpMM:Pantry>",
        "<GAudio:Data>AAAA</GAudio:Data>",
        "<mwg-rs:Regions/>",
        "<exif:SubjectArea>a word</exif:SubjectArea>",
    ],
)
def test_a_packet_that_stays_true_stays_byte_for_byte(body: str) -> None:
    assert xmp.after_crop(packet(body), LOWER_RIGHT) == packet(body)


@pytest.mark.parametrize(
    "body",
    [
        "<GPano:FullPanoWidthPixels>800</GPano:FullPanoWidthPixels>\n<GPano:ProjectionType>equi</GPano:ProjectionType>",
        "<GDepth:Data>AAAA</GDepth:Data><GImage:Data>AAAA</GImage:Data>",
        "<crs:HasCrop>True</crs:HasCrop><crs:CropTop>0.1</crs:CropTop><crs:CropConstrainToWarp>1</crs:CropConstrainToWarp>",
        "<xmp:Thumbnails><rdf:Alt><rdf:li rdf:parseType='Resource'><xmpGImg:image>AA</xmpGImg:image></rdf:li></rdf:Alt>"
        "</xmp:Thumbnails>",
        "<GCamera:MicroVideoOffset>99</GCamera:MicroVideoOffset><GCamera:MotionPhoto>1</GCamera:MotionPhoto>",
        "<Container:Directory><rdf:Seq><rdf:li rdf:parseType='Resource'><Container:Item Item:Length='9'/></rdf:li>"
        "</rdf:Seq></Container:Directory>",
        "<photomechanic:CropLeft>0.1</photomechanic:CropLeft><MP1:PanoramicStitchPhi0>1</MP1:PanoramicStitchPhi0>",
        "<crs:RetouchAreas><rdf:Seq><rdf:li>centerX</rdf:li></rdf:Seq></crs:RetouchAreas>",
        regions(area(0.2, 0.2, 0.1, 0.1)),
        "<exif:SubjectLocation><rdf:Seq><rdf:li>10</rdf:li><rdf:li>10</rdf:li></rdf:Seq></exif:SubjectLocation>",
    ],
)
def test_what_speaks_of_the_whole_picture_goes(body: str) -> None:
    kept = "<dc:title>kept</dc:title>"
    changed = xmp.after_crop(packet(kept + "\n" + body), LOWER_RIGHT)
    assert changed == packet(kept)


def test_attributes_that_go_leave_the_others_as_they_were() -> None:
    changed = xmp.after_crop(packet(attributes='dc:a="1" GPano:UsePanoramaViewer="True"\n dc:b="2"'), LOWER_RIGHT)
    assert changed == packet(attributes='dc:a="1"\n dc:b="2"')


def test_what_points_behind_the_picture_stays_with_the_video() -> None:
    body = "<GCamera:MotionPhoto>1</GCamera:MotionPhoto><Container:Directory><rdf:Seq/></Container:Directory>"
    assert xmp.after_crop(packet(body), Cut((800, 400), (0, 0, 400, 400), trailer=True)) == packet(body)


def test_applied_corrections_stay_as_history_without_their_crop() -> None:
    body = "<crs:RetouchAreas><rdf:Seq><rdf:li>x</rdf:li></rdf:Seq></crs:RetouchAreas>"
    attributes = 'crs:AlreadyApplied="True"'
    changed = xmp.after_crop(packet(body, attributes + ' crs:HasCrop="True" crs:CropLeft="0.2"'), LOWER_RIGHT)
    assert changed == packet(body, attributes)


def test_snapshots_of_camera_raw_lose_their_crop() -> None:
    one = "<rdf:li><rdf:Description crss:Name='a'{}/></rdf:li>"
    snapshot = f"<crss:SavedSettings><rdf:Bag>{one}</rdf:Bag></crss:SavedSettings>"
    changed = xmp.after_crop(packet(snapshot.format(" crs:HasCrop='True' crs:CropTop='0.1'")), LOWER_RIGHT)
    assert changed == packet(snapshot.format(""))


def test_regions_move_and_those_outside_go() -> None:
    before = packet(regions(area(0.75, 0.75, 0.1, 0.2), area(0.2, 0.2, 0.1, 0.1), area(0.95, 0.6, 0.02, 0.1)))
    after = packet(regions(area(0.5, 0.5, 0.2, 0.4), "GONE", area(0.9, 0.2, 0.04, 0.2), size=(400, 200)))
    changed = xmp.after_crop(before, LOWER_RIGHT)
    gone = re.compile(rb"<rdf:li><rdf:Description[^>]*><mwg-rs:Area GONE/></rdf:Description></rdf:li>")
    assert changed == gone.sub(b"", after)


def test_regions_in_elements_and_pixels_move() -> None:
    values = {"x": 600, "y": 300, "w": 80, "h": 40, "unit": "pixel"}
    fields = "".join(f"<stArea:{name}>{value}</stArea:{name}>" for name, value in values.items())
    body = (
        "<mwg-rs:Regions><rdf:Description><mwg-rs:AppliedToDimensions rdf:parseType='Resource'><stDim:w>800</stDim:w>"
        "<stDim:h>400</stDim:h></mwg-rs:AppliedToDimensions><mwg-rs:RegionList><rdf:Seq>"
        f"<rdf:li rdf:parseType='Resource'><mwg-rs:Area rdf:parseType='Resource'>{fields}</mwg-rs:Area></rdf:li>"
        "</rdf:Seq></mwg-rs:RegionList></rdf:Description></mwg-rs:Regions>"
    )
    changed = xmp.after_crop(packet(body), LOWER_RIGHT)
    assert numbers(changed, "stArea:[xywh]") == [200, 100, 80, 40]
    assert numbers(changed, "stDim:[wh]") == [400, 200]


def test_a_region_cut_by_the_box_ends_at_its_edge() -> None:
    changed = xmp.after_crop(packet(regions(area(0.55, 0.75, 0.2, 0.2))), LOWER_RIGHT)
    assert numbers(changed, "stArea:[xywh]") == [0.15, 0.5, 0.3, 0.4]


def test_circles_and_points_move() -> None:
    circle = 'stArea:x="0.75" stArea:y="0.75" stArea:d="0.1" stArea:unit="normalized"'  # of the shorter side: 40 px
    changed = xmp.after_crop(packet(regions(circle, 'stArea:x="0.6" stArea:y="0.9"')), LOWER_RIGHT)
    assert numbers(changed, "stArea:[xyd]") == [0.5, 0.5, 0.2, 0.2, 0.8]


def test_microsoft_people_move_and_names_without_a_place_stay() -> None:
    people = (
        "<MP:RegionInfo rdf:parseType='Resource'><MPRI:Regions><rdf:Bag>{}<rdf:li MPReg:PersonDisplayName='B'/>"
        "</rdf:Bag></MPRI:Regions></MP:RegionInfo>"
    )
    ann = "<rdf:li MPReg:Rectangle='{}' MPReg:PersonDisplayName='A'/>"
    inside, outside = "0.6, 0.7, 0.1, 0.2", "0.1, 0.1, 0.1, 0.1"
    changed = xmp.after_crop(packet(people.format(ann.format(inside) + ann.format(outside))), LOWER_RIGHT)
    assert changed == packet(people.format(ann.format("0.2, 0.4, 0.2, 0.4")))


def test_both_places_of_acdsee_move() -> None:
    one = "acdsee-stArea:x='0.75' acdsee-stArea:y='0.75' acdsee-stArea:w='0.1' acdsee-stArea:h='0.1'"
    body = (
        f"<acdsee-rs:Regions rdf:parseType='Resource'><acdsee-rs:RegionList><rdf:Bag><rdf:li><rdf:Description>"
        f"<acdsee-rs:DLYArea {one}/><acdsee-rs:ALGArea {one}/></rdf:Description></rdf:li></rdf:Bag>"
        "</acdsee-rs:RegionList></acdsee-rs:Regions>"
    )
    assert numbers(xmp.after_crop(packet(body), LOWER_RIGHT), "acdsee-stArea:[xywh]") == [0.5, 0.5, 0.2, 0.2] * 2


@pytest.mark.parametrize(
    ("shape", "before", "after"),
    [
        ("rectangle", {"rbX": 0.6, "rbY": 0.7, "rbW": 0.1, "rbH": 0.2}, [0.2, 0.4, 0.2, 0.4]),
        ("circle", {"rbX": 0.75, "rbY": 0.75, "rbRx": 0.05}, [0.5, 0.5, 0.1]),
        ("rectangle", {"rbUnit": "pixel", "rbX": 480, "rbY": 280, "rbW": 80, "rbH": 80}, [80, 80, 80, 80]),
        ("circle", {"rbUnit": "pixel", "rbX": 600, "rbY": 300, "rbRx": 40}, [200, 100, 40]),
    ],
)
def test_regions_of_iptc_move(shape: str, before: dict[str, object], after: list[float]) -> None:
    fields = "".join(f"<Iptc4xmpExt:{name}>{value}</Iptc4xmpExt:{name}>" for name, value in before.items())
    body = (
        "<Iptc4xmpExt:ImageRegion><rdf:Bag><rdf:li rdf:parseType='Resource'><Iptc4xmpExt:RegionBoundary "
        f"rdf:parseType='Resource'><Iptc4xmpExt:rbShape>{shape}</Iptc4xmpExt:rbShape>{fields}"
        "</Iptc4xmpExt:RegionBoundary></rdf:li></rdf:Bag></Iptc4xmpExt:ImageRegion>"
    )
    assert numbers(xmp.after_crop(packet(body), LOWER_RIGHT), "Iptc4xmpExt:rb(?:X|Y|W|H|Rx)") == after


def test_a_polygon_of_iptc_moves_and_ends_at_the_edge() -> None:
    points = "".join(
        f"<rdf:li rdf:parseType='Resource'><Iptc4xmpExt:rbX>{x}</Iptc4xmpExt:rbX><Iptc4xmpExt:rbY>{y}</Iptc4xmpExt:rbY>"
        "</rdf:li>"
        for x, y in ((0.45, 0.6), (0.9, 0.6), (0.9, 0.9))
    )
    body = (
        "<Iptc4xmpExt:ImageRegion><rdf:Bag><rdf:li rdf:parseType='Resource'><Iptc4xmpExt:RegionBoundary "
        f"rdf:parseType='Resource'><Iptc4xmpExt:rbVertices><rdf:Seq>{points}</rdf:Seq></Iptc4xmpExt:rbVertices>"
        "</Iptc4xmpExt:RegionBoundary></rdf:li></rdf:Bag></Iptc4xmpExt:ImageRegion>"
    )
    changed = xmp.after_crop(packet(body), LOWER_RIGHT)
    assert numbers(changed, "Iptc4xmpExt:rb[XY]") == [0, 0.2, 0.8, 0.2, 0.8, 0.8]


def test_the_subject_moves_with_the_box() -> None:
    seq = "<exif:SubjectArea><rdf:Seq>{}</rdf:Seq></exif:SubjectArea>"
    before, after = (
        seq.format("".join(f"<rdf:li>{value}</rdf:li>" for value in values))
        for values in ((600, 300, 100, 80), (200, 100, 100, 80))
    )
    assert xmp.after_crop(packet(before), LOWER_RIGHT) == packet(after)


@pytest.mark.parametrize(
    ("orientation", "written_upright"),
    # only a size that is turned tells the upright frame
    [*((orientation, False) for orientation in range(1, 9)), (5, True), (6, True), (7, True), (8, True)],
)
def test_regions_follow_a_turned_picture(orientation: int, written_upright: bool) -> None:
    """An upright picture of 400 x 800, cut to its lower half; the region covers a known part of that half."""
    upright, turned = (0.5, 0.6, 0.75, 0.9), orientation in (5, 6, 7, 8)
    cut = Cut((400, 800), (0, 400, 400, 800), orientation, orientation)

    def written(region: tuple[float, float, float, float], size: tuple[int, int]) -> bytes:
        if not written_upright:
            region, size = to_stored(region, (1.0, 1.0), orientation), size[::-1] if turned else size
        x1, y1, x2, y2 = region
        return packet(regions(area((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1), size=size))

    changed, meant = xmp.after_crop(written(upright, (400, 800)), cut), written((0.5, 0.2, 0.75, 0.8), (400, 400))
    assert numbers(changed, "st(?:Area:[xywh]|Dim:[wh])") == pytest.approx(numbers(meant, "st(?:Area:[xywh]|Dim:[wh])"))


def test_a_picture_turned_upright_turns_its_regions() -> None:
    """HEIC: orientation 6 before, upright afterwards."""
    cut = Cut((400, 800), (0, 400, 400, 800), 6, 1)
    region = to_stored((0.5, 0.6, 0.75, 0.9), (1.0, 1.0), 6)
    x1, y1, x2, y2 = region
    body = regions(area((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1), size=(800, 400))
    changed = xmp.after_crop(packet(body, 'tiff:ImageWidth="800"'), cut)
    assert numbers(changed, "stArea:[xywh]") == pytest.approx([0.625, 0.5, 0.25, 0.6])
    assert numbers(changed, "tiff:ImageWidth", "stDim:[wh]") == [400, 400, 400]


def test_the_padding_takes_up_what_a_packet_gains_or_loses() -> None:
    before = packet(regions(area(0.777, 0.777, 0.1, 0.1)), 'crs:HasCrop="True"', padding=200)
    changed = xmp.after_crop(before, LOWER_RIGHT)
    assert len(changed) == len(before) and b"HasCrop" not in changed
    assert changed.endswith(b' <?xpacket end="w"?>')


@pytest.mark.parametrize(
    "noise", [b"", b"\0" * 9, b"no XML", b"<a><b></a>", b"<!DOCTYPE a><a/>", b"<a " + b"<b>" * 999]
)
def test_an_unreadable_packet_that_says_nothing_untrue_stays(noise: bytes) -> None:
    assert xmp.after_crop(noise, LOWER_RIGHT) == noise


@pytest.mark.parametrize(
    "broken",
    [
        packet(regions(area(0.2, 0.2, 0.1, 0.1)))[:-30],
        packet(attributes='tiff:ImageWidth="800"').replace(b"<x:xmpmeta", b"<!DOCTYPE x><x:xmpmeta"),
        b"<a>" * 300 + b"<GPano:x xmlns:GPano='http://ns.google.com/photos/1.0/panorama/'>",
        packet(attributes='crs:HasCrop="True"').decode().encode("utf-16-le")[:-1],
    ],
)
def test_an_unreadable_packet_that_would_be_untrue_is_refused(broken: bytes) -> None:
    with pytest.raises(PacketError, match="cannot be read"):
        xmp.after_crop(broken, LOWER_RIGHT)


def test_extended_packets_are_renamed_by_what_they_hold() -> None:
    extension = packet("<dc:title>kept</dc:title><GDepth:Data>AAAA</GDepth:Data>")
    main = packet(attributes=f'xmpNote:HasExtendedXMP="{xmp.guid(extension)}"')
    assert xmp.named_extension(main) == xmp.guid(extension)
    changed, rest = xmp.jpeg_after_crop(main, extension, LOWER_RIGHT)
    assert rest == packet("<dc:title>kept</dc:title>") and xmp.named_extension(changed) == xmp.guid(rest)
    assert xmp.jpeg_after_crop(main, packet("<GImage:Data>AA</GImage:Data>"), LOWER_RIGHT) == (
        packet().replace(b" >", b">"),
        b"",
    )


@given(st.integers(0, 2000), st.binary(min_size=1, max_size=6))
def test_a_damaged_packet_is_changed_or_refused(at: int, noise: bytes) -> None:
    whole = packet(regions(area(0.7, 0.7, 0.1, 0.1)), 'tiff:ImageWidth="800"', padding=20)
    at %= len(whole)
    try:
        xmp.after_crop(whole[:at] + noise + whole[at + len(noise) :], LOWER_RIGHT)
    except PacketError as error:
        assert "cannot be read" in str(error)
