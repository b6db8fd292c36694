"""Decode text files of other programs: UTF-8, UTF-16, or a local code page recognised from the text."""

import codecs
import re

_BOMS = (  # that of UTF-32 begins like that of UTF-16
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_PAIRS = re.compile(rb"[\x81-\xfe][\x40-\xfe]")
# Latin code pages share most of their bytes: each counts where all letters outside ASCII are of one of its languages,
# the western one first, since it is the most common by far
_SIGNS = "“”‘’„–—…«»°€·´©®™§\u00a0¿¡"
_LATIN = (
    ("cp1252", "àâäáãåæçèéêëíîïñóôõöøœúûüÿß"),
    ("cp1254", "çğıöşüâîûİ"),
    ("cp1250", "áčďéěíňóřšťúůýž"),
    ("cp1250", "áäčďéíĺľňóôŕšťúýž"),
    ("cp1250", "ąćęłńóśźż"),
    ("cp1250", "áéíóöőúüű"),
    ("cp1250", "čćđšž"),
)
_TOKENS = re.compile(r"[^\s!-/:-@\[-`{-~]+")  # between spaces and signs of ASCII
_CYRILLIC = re.compile(r"[А-ЯЁІЇЄҐ]?[а-яёіїєґ]+")
_VOWELS = re.compile(r"[аеиоуыэюяёіїє]")
_LEAST_VOWELS = 0.27  # of Cyrillic letters; Russian has some 0.42, Hebrew read as Cyrillic some 0.25


def decode_unicode(data: bytes) -> str | None:
    """UTF-8 with or without a byte order mark, or UTF-16; None where it is neither."""
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return _decode(data[len(mark) :], encoding)
    if b"\0" in data or 4 * len(_CONTROLS.findall(data)) >= len(data) > 0:
        # no text has them; in UTF-16 they are one half of every letter of most alphabets, of spaces and of line ends
        high, low = (len(_CONTROLS.findall(data[half::2])) for half in (0, 1))
        return _decode(data, "utf-16-be" if high > low else "utf-16-le")
    return _decode(data, "utf-8")


def decode(data: bytes) -> str | None:
    """As `decode_unicode`, else in the code page recognised from the text; None where none is recognised.

    Recognised: Windows' pages of western and central Europe, Turkish and Cyrillic, Shift-JIS, GB 18030, Big5, EUC-KR.
    """
    text = decode_unicode(data)
    if text is not None or b"\0" in data:
        return text
    for encoding, letters in _LATIN:
        text = _decode(data, encoding)
        if text is not None and _is_latin(text, letters):
            return text
    text = _decode(data, "cp1251")
    if text is not None and _is_cyrillic(text):
        return text
    page = _wide_page(data)
    return None if page is None else _decode(data, page)


def _decode(data: bytes, encoding: str) -> str | None:
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def _is_latin(text: str, letters: str) -> bool:
    """Whether the letters outside ASCII belong to one alphabet and occur where its words have them."""
    if not re.search("[A-Za-z]{2}", text) or re.search(r"”\w|\w“", text):
        return False
    western = letters == _LATIN[0][1]
    for word in re.findall(rf"[^\s!-/:-@\[-`{{-~{_SIGNS}]+", text):
        strange = [letter for letter in word if not letter.isascii()]
        # French and Italian have these only at the end of words
        known = letters + ("ùìò" if western and not re.search("[ùìò].", word.lower()) else "")
        if any(letter.lower() not in known for letter in strange) or re.search("[a-z][À-ÞŠŽŒ]", word):
            return False
        if (western and re.search(r"[^\x00-\x7f]{3}", word)) or (len(strange) > 1 and 4 * len(strange) > 3 * len(word)):
            return False  # another script, whose letters all lie outside ASCII
    return True


def _is_cyrillic(text: str) -> bool:
    words = [word for token in _TOKENS.findall(text) if not (word := token.strip(_SIGNS)).isascii()]
    vowels = sum(len(_VOWELS.findall(word.lower())) for word in words)
    return bool(words) and all(map(_CYRILLIC.fullmatch, words)) and vowels >= _LEAST_VOWELS * sum(map(len, words))


def _wide_page(data: bytes) -> str | None:
    """The code page whose common characters a text consists of, by their first and second bytes.

    Shift-JIS has its kana and kanji below A0; Big5 second bytes in the range of ASCII; Korean syllables begin with B0
    to C8 (KS X 1001), the 3,755 common characters of GB 2312 with B0 to D7, in the order of their sound.
    """
    pairs = _PAIRS.findall(data)
    if not re.search(_PAIRS.pattern * 2, data):  # a letter of another page, and the one behind it
        return None
    firsts = [pair[0] for pair in pairs if pair[0] >= 0xA4] or [0]  # what comes before A4 are signs
    if any(pair[0] < 0xA1 for pair in pairs):
        return "cp932"
    if any(pair[1] < 0xA1 or 0xAA <= pair[0] < 0xB0 for pair in pairs):
        return "big5" if max(firsts) <= 0xC6 else None
    if min(firsts) < 0xB0 or max(firsts) > 0xD7:
        return None
    if max(firsts) > 0xC8:
        return "gb18030"
    # a Chinese text without a character of a sound after R is short, and has no spaces
    if re.search(rb"[\xb0-\xc8][\xa1-\xfe] [\xb0-\xc8]", data):
        return "cp949"
    return "gb18030" if re.search(rb"([\xb0-\xc8][\xa1-\xfe]){5}", data) else None
