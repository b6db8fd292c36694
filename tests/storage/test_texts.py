"""Text files of other programs: byte order marks, UTF-16, and code pages told by the text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickroom.storage.texts import decode, decode_unicode

PAGES = {
    "cp1252": (
        *(
            "a café by the sea",
            "élève",
            "naïve",
            "où est la forêt ? à côté",
            "perché la città è più bella",
            "créée, œuvre",
        ),
        *(
            "ein schönes Mädchen, Übergröße",
            "l’été à la plage – soleil",
            "coração, não",
            "smörgåsbord på ön",
            "¿qué? ¡olé!",
        ),
        *("“quoted” — a dog’s life, 20°C",),
    ),
    "cp1251": ("красная лодка на море", "1girl, девушка с зонтом, masterpiece", "кот", "портрет", "дівчина з їжаком"),
    "cp1250": ("žlutý kůň běží po louce", "dziewczyna z parasolką, łódź"),
    "cp1254": ("güneşli bir gün, kırmızı tekne",),
    "shift_jis": (
        "赤い船",
        "海辺のカフェに座る女の子、夕焼け",
        "a girl, 夕焼け, masterpiece",
        "制服",
        "最高品質",
        "赤い船、" * 999,
    ),
    "gbk": (
        "红色的船",
        "海边的一艘红色小船，夕阳西下",
        "1girl, 红色连衣裙, masterpiece",
        "高质量",
        "美丽的风景",
        "机械战士",
    ),
    "big5": ("紅色的船在海邊", "高品質", "貓坐在窗臺上"),
    "euc_kr": ("바다 위의 빨간 배", "로봇 전사", "최고 품질, masterpiece"),
}


@pytest.mark.parametrize(("page", "text"), [(page, text) for page, texts in PAGES.items() for text in texts])
def test_a_text_tells_its_code_page(page: str, text: str) -> None:
    assert decode(text.encode(page)) == text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize(
    "text", ["a café by the sea", "красная лодка, море", "бой", "γάτα", "חתול", "赤い船, 海\n", "plain"]
)
def test_unicode_is_read_with_and_without_a_mark(encoding: str, text: str) -> None:
    assert decode(text.encode(encoding)) == decode_unicode(text.encode(encoding)) == text


def test_a_stray_control_character_changes_no_encoding() -> None:
    assert decode(b"a red boat\x02") == "a red boat\x02"


def test_unicode_in_the_other_byte_order_is_read() -> None:
    assert decode(b"\xfe\xff" + "a café".encode("utf-16-be")) == "a café"


@pytest.mark.parametrize(
    "data",
    [
        "a café".encode("cp437"),
        "a café".encode("mac_roman"),
        "les cafés, été".encode("cp437"),
        "les cafés créés".encode("mac_roman"),
        "เรือสีแดง".encode("cp874"),
        "красная лодка".encode("koi8_r"),
        "카페".encode("euc_kr"),
        "кот, masterpiece".encode("cp866"),
        "ילדה על החוף".encode("cp1255"),
        "κόκκινη βάρκα".encode("cp1253"),
        b"\xff\xfe\x00\xd8",
        b"a\0b",
        bytes(range(128, 256)),
    ],
)
def test_what_tells_no_code_page_is_unknown(data: bytes) -> None:
    assert decode(data) is None


@given(st.binary(max_size=40))
def test_any_bytes_are_a_text_or_unknown(data: bytes) -> None:
    assert "\0" not in (decode(data) or "")
