"""Which files belong to which image: the rules of cameras, phones, Takeout, darktable and editors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickroom.core.companions import Companions, renamed
from pickroom.core.naming import is_image_name, stem_of

PIECES = st.sampled_from(
    [
        "a",
        "a.b",
        "IMG_0001",
        "IMG_E0001",
        "x" * 45,
        "(1)",
        "_01",
        ".jpg",
        ".png",
        ".json",
        ".xmp",
        ".MP",
        ".",
        "-edited",
    ]
)
NAMES = st.lists(PIECES, min_size=1, max_size=5).map("".join).filter(lambda name: name not in (".", ".."))


def owned(*names: str) -> dict[str, tuple[str, ...]]:
    """Image -> companions, for those that have any."""
    found = Companions(names)
    return {name: found.of(name) for name in names if found.of(name)}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        pytest.param(["a.png", "a.yaml"], {"a.png": ("a.yaml",)}, id="one"),
        pytest.param(
            ["a.png", "a.yaml", "a.caption", "a.txt", "a.json", "a.decision", "a.xmp", "a.hands.json", "a.odd"],
            {"a.png": ("a.caption", "a.decision", "a.hands.json", "a.json", "a.odd", "a.txt", "a.xmp", "a.yaml")},
            id="any suffix, also doubled",
        ),
        pytest.param(["a.png", "a.png.yaml"], {"a.png": ("a.png.yaml",)}, id="named after the whole file"),
        pytest.param(["a.png", "a.jpg"], {}, id="never an image"),
        pytest.param(["a.png", "ab.yaml", "a_b.yaml", "a", "b.yaml"], {}, id="a longer name is another's"),
        pytest.param(
            ["a.png", "a.b.png", "a.b.yaml", "a.yaml"],
            {"a.png": ("a.yaml",), "a.b.png": ("a.b.yaml",)},
            id="the longest stem owns it",
        ),
        pytest.param(
            ["x_stage1.png", "x_stage1.5_y.png", "x_stage1.5_y.yaml", "x_stage1.yaml", "x_stage1.5.yaml"],
            {"x_stage1.png": ("x_stage1.5.yaml", "x_stage1.yaml"), "x_stage1.5_y.png": ("x_stage1.5_y.yaml",)},
            id="stage 1 does not take stage 1.5's",
        ),
        pytest.param(["lonely.yaml"], {}, id="no image"),
        pytest.param(["a.png", "a", "a.txt"], {"a.png": ("a.txt",)}, id="next to a file without an extension"),
        pytest.param(
            ["a.png", "a.jpg", "a.jpg.xmp", "a.txt"],
            {"a.png": ("a.txt",), "a.jpg": ("a.jpg.xmp", "a.txt")},
            id="of two images of one stem the one that is named",
        ),
    ],
)
def test_stem_or_name_before_a_dot_owns_a_file(names: list[str], expected: dict[str, tuple[str, ...]]) -> None:
    assert owned(*names) == expected


LONG = "Urlaub in Knaufspesch in der Schneifel"


@pytest.mark.parametrize(
    ("image", "json", "others"),
    [
        ("IMG_0001(1).jpg", "IMG_0001.jpg(1).json", ["IMG_0001.jpg"]),
        ("IMG_0001.jpg", "IMG_0001.jpg.json", ["IMG_0001(1).jpg"]),
        ("IMG_0001(2).jpg", "IMG_0001.jpg.supplemental-metadata(2).json", ["IMG_0001.jpg", "IMG_0001(1).jpg"]),
        ("IMG_0001(1).HEIC", "IMG_0001.HEIC.supplemental-met(1).json", ["IMG_0001.HEIC"]),
        ("Screenshot_2016-07-09-18-01-30.png", "Screenshot_2016-07-09-18-01-30.png.supplementa.json", []),
        ("0123456789012345678901234567890123456789.jpg", "0123456789012345678901234567890123456789.jpg..json", []),
        ("D7157814-D2D5-4A62-AFCE-9CF465CB7D66.jpeg", "D7157814-D2D5-4A62-AFCE-9CF465CB7D66.jpeg.s(1).json", None),
        (f"{LONG} (38).JPG", f"{LONG} (38).JP.json", [f"{LONG} (39).JPG"]),
        (
            "Screenshot_20220207_102421_com.snapchat.android.jpg",
            "Screenshot_20220207_102421_com.snapchat.androi.json",
            [],
        ),
        (
            "Backyard_ceremony_wedding_photography_xxxxxxx_m(494).jpg",
            "Backyard_ceremony_wedding_photography_xxxxxxx_(494).json",
            ["Backyard_ceremony_wedding_photography_xxxxxxx_m(493).jpg"],
        ),
        (
            "1556189729458-8d2e2d13-bca5-467e-a242-9e4cb238.jpg",
            "1556189729458-8d2e2d13-bca5-467e-a242-9e4cb238e.json",
            ["1556189729458-8d2e2d13-bca5-467e-a242-9e4cb238(1).jpg"],
        ),
        (
            "😀😃😄😁😆😅😂🤣🥲☺️😊😇🙂🙃😉😌😍🥰😘😗😙😚😋😛.jpg",
            "😀😃😄😁😆😅😂🤣🥲☺️😊😇🙂🙃😉😌😍🥰😘😗😙😚😋.json",
            [],
        ),
        ("IMG_0001-edited.jpg", "IMG_0001.jpg.json", []),
        ("IMG_0001-bearbeitet(1).jpg", "IMG_0001.jpg(1).json", ["IMG_0001.jpg"]),
        ("IMG_0001.jpg", "IMG_0001.jpg.json", ["IMG_0001-edited.jpg"]),
        ("IMG_0001(1).HEIC", "IMG_0001.MOV(1).json", ["IMG_0001(1).MOV", "IMG_0001.HEIC", "IMG_0001.MOV"]),
        ("PXL_1.MP.jpg", "PXL_1.MP.jpg.supplemental-metadata.json", ["PXL_1.MP"]),
    ],
)
def test_takeout_json_belongs_to_the_image_it_names(image: str, json: str, others: list[str] | None) -> None:
    if others is None:  # the image that the number counts is not there: the one without a number has its own
        assert owned(image, json) == {}
        return
    assert json in Companions([image, json, *others]).of(image)
    for other in others:
        assert json not in Companions([image, json, *others]).of(other)


def test_takeout_json_of_an_absent_image_stays_unowned() -> None:
    names = ["IMG_0001.jpg", "IMG_0001.jpg(1).json", "IMG_0001.MP4(2).json", "metadata.json"]
    assert owned(*names) == {}
    assert Companions(names).left_beside("IMG_0001.jpg") == ("IMG_0001.MP4(2).json", "IMG_0001.jpg(1).json")


def test_cut_title_of_two_images_is_given_to_neither() -> None:
    title = "Screenshot_20220207_102421_com.snapchat.androi"
    assert owned(f"{title}d1.jpg", f"{title}d2.jpg", f"{title}.json") == {}


def test_generators_json_with_a_number_keeps_its_image() -> None:
    assert owned("a (1).png", "a.png", "a (1).json", "b(2).png", "b(2).json") == {
        "a (1).png": ("a (1).json",),
        "b(2).png": ("b(2).json",),
    }


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        pytest.param(
            ["a.jpg", "a.jpg.xmp", "a_01.jpg.xmp", "a_102.jpg.xmp"],
            {"a.jpg": ("a.jpg.xmp", "a_01.jpg.xmp", "a_102.jpg.xmp")},
            id="duplicates",
        ),
        pytest.param(
            ["a.jpg", "a_01.jpg", "a_01.jpg.xmp"], {"a_01.jpg": ("a_01.jpg.xmp",)}, id="an image of that name"
        ),
        pytest.param(
            ["a.jpg", "a.CR2", "a.CR2.xmp", "a_01.CR2.xmp"],
            {"a.jpg": ("a.CR2", "a.CR2.xmp", "a_01.CR2.xmp")},
            id="of the RAW file next to it",
        ),
        pytest.param(
            ["a.jpg", "a_01.png", "a_01.jpg.xmp", "a_01.png.xmp"],
            {"a.jpg": ("a_01.jpg.xmp",), "a_01.png": ("a_01.png.xmp",)},
            id="another image of that stem",
        ),
        pytest.param(["b.jpg", "a_01.jpg.xmp"], {}, id="without its image"),
    ],
)
def test_darktables_numbered_sidecar_belongs_to_its_picture(
    names: list[str], expected: dict[str, tuple[str, ...]]
) -> None:
    assert owned(*names) == expected


@pytest.mark.parametrize(
    "names",
    [
        ["PXL_20230101_1.RAW-01.COVER.jpg", "PXL_20230101_1.RAW-02.ORIGINAL.dng"],
        ["PXL_20230101_1.RAW-01.MP.COVER.jpg", "PXL_20230101_1.RAW-02.ORIGINAL.dng", "PXL_20230101_1.RAW-01.MP"],
        ["PXL_20230101_1.MP.jpg", "PXL_20230101_1.MP", "PXL_20230101_1.MP.json"],
        ["PXL_1.RAW-01.COVER(1).jpg", "PXL_1.RAW-02.ORIGINAL(1).dng", "PXL_1.RAW-02.ORIGINAL.dng(1).json"],
        ["PXL_1.LONG_EXPOSURE-01.COVER~2.jpg", "PXL_1.LONG_EXPOSURE-02.ORIGINAL.dng"],
        ["MVIMG_1.jpg", "MVIMG_1.mp4"],
        ["IMG_1234.HEIC", "IMG_1234.MOV", "IMG_1234.AAE", "IMG_O1234.AAE", "IMG_1234_HEVC.MOV", "IMG_1234.MOV.json"],
        ["20250101_100000_stage1_a.heic", "20250101_100000_stage1_a_HEVC.mov"],
        ["IMG_E1234.JPG", "IMG_1234.AAE", "IMG_O1234.AAE", "IMG_1234.MOV"],
        ["DSC_0001.JPG", "DSC_0001.NEF", "DSC_0001.NEF.xmp", "DSC_0001.xmp", "DSC_0001.acr", "DSC_0001.WAV"],
        ["DSC_0001.JPG", "DSC_0001.JPG.pp3", "DSC_0001.JPG.dop", "DSC_0001.JPG.cos", "DSC_0001.JPG.on1"],
        ["DSC_0001.JPG", "DSC_0001.JPG_original", "DSC_0001.JPG:Zone.Identifier", "._DSC_0001.JPG"],
    ],
)
def test_first_image_owns_every_other_file(names: list[str]) -> None:
    assert owned(*names) == {names[0]: tuple(sorted(names[1:]))}


def test_iphones_original_and_its_edition_keep_their_own() -> None:
    files = ["IMG_1234.MOV", "IMG_1234.AAE", "IMG_O1234.AAE", "IMG_E1234.MOV"]
    assert owned("IMG_1234.HEIC", "IMG_E1234.HEIC", *files) == {
        "IMG_1234.HEIC": ("IMG_1234.AAE", "IMG_1234.MOV", "IMG_O1234.AAE"),
        "IMG_E1234.HEIC": ("IMG_E1234.MOV",),
    }


def test_left_beside_names_what_begins_alike_and_belongs_to_none() -> None:
    names = ["IMG_1.jpg", "IMG_12.mov", "IMG_1-notes.txt", "IMG_1 copy.psd", "IMG_1.txt", "IMG_1_sd.npz", "IMG_1b.doc"]
    assert Companions(names).left_beside("IMG_1.jpg") == (
        *("IMG_1 copy.psd", "IMG_1-notes.txt", "IMG_1_sd.npz", "IMG_1b.doc"),
    )
    assert Companions(["cat.png", "catalogue.txt"]).left_beside("cat.png") == ()


@given(st.sets(NAMES, max_size=8))
def test_file_belongs_to_one_stem_at_most_and_never_an_image(names: set[str]) -> None:
    found = Companions(names)
    of = {name: found.of(name) for name in names}
    for companion in found.all:
        assert not is_image_name(companion)
        assert len({stem_of(image) for image, own in of.items() if companion in own}) == 1
    assert not any(own for image, own in of.items() if not is_image_name(image))
    assert not found.all & {one for image in names for one in found.left_beside(image)}


@pytest.mark.parametrize("mark", ["b_{}.jpg", "{}.undone-3.jpg"])
@given(st.sets(NAMES, max_size=6))
def test_renamed_companion_still_belongs_to_its_image(mark: str, names: set[str]) -> None:
    for image in filter(is_image_name, names):
        new = mark.format(stem_of(image)) if image.endswith(".jpg") else image
        own = [renamed(name, image, new) for name in Companions([image, *names]).of(image)]
        assert len(set(own)) == len(own)
        if own and "{}." in mark:
            assert set(own) <= set(Companions([new, *own]).of(new))
