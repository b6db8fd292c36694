"""XMP packets as other programs, bad disks and enemies leave them next to an image."""

from __future__ import annotations

import codecs
import random

from hostile.mutations import TEXTS, damaged
from pickroom.core.records import CropBox
from pickroom.files import xmp

WANTED = {**xmp.rating(5, "Green"), **xmp.crop(CropBox(0.1, 0.2, 0.7, 0.9), xmp.StoredFrame(600, 800))}
DC = "http://purl.org/dc/elements/1.1/"
PACKET = f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Other">
 <!-- kept -->
 <rdf:RDF xmlns:rdf="{xmp.RDF}">
  <rdf:Description rdf:about="" xmlns:xap="{xmp.XMP}" xmlns:crs="{xmp.CRS}" xmlns:dc="{DC}" xap:Label="Blue"
    xap:CreatorTool="a &quot;tool&quot; &amp; &#10;more" crs:Exposure2012="+0.35" crs:HasCrop="False">
   <dc:subject><rdf:Bag><rdf:li>holiday &lt;2025&gt;</rdf:li><rdf:li>ähre</rdf:li></rdf:Bag></dc:subject>
   <xap:Rating>2</xap:Rating>
   <crs:SavedSettings><rdf:Description crs:CropTop="0.5" crs:HasCrop="True"/></crs:SavedSettings>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>
"""
LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 9))
HEADS = (
    f'<!DOCTYPE x [<!ENTITY l0 "ha">{LAUGHS}]>',
    '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>',
    '<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd">',
    '<!DOCTYPE x [<!ENTITY % p SYSTEM "file:///dev/zero">%p;]>',
    *(f'<?xml version="1.0" encoding="{name}"?>' for name in ("utf-8", "latin-1", "utf-7", "shift_jis", "cp037")),
    *(f"<?xml version='1.0' encoding = '{name}' ?>" for name in ("unicode_escape", "idna", "no-such", "utf-16")),
    '<?xml version="1.1"?>',
    '<?xml version="1.0" standalone="no"?>',
    "\ufeff",
)
PIECES = (
    "&l8;",
    "&f;",
    "<![CDATA[ <xap:Rating>1</xap:Rating> ]]>",
    "<?php echo 1 ?>",
    "<!-- - -->",
    f'<rdf:Description rdf:about="" xmlns:xmp="urn:other" xmp:Rating="9" xmlns:q="{xmp.XMP}" q:Rating="4"/>',
    f'<rdf:RDF xmlns:rdf="{xmp.RDF}"/>',
    f'<Rating xmlns="{xmp.XMP}">3<b/>3</Rating>',
    "<xap:Rating><rdf:Alt><rdf:li>1</rdf:li></rdf:Alt></xap:Rating>",
    '<a xmlns="" xml:lang="x" xml:space="preserve"> \t </a>',
    "&#0;",
    "&#xD800;",
    "&#9;&#13;&#10;\ue009\ue00a\ue00d",
    "\x85\u2028\ufffe",
)


def hostile_packet(rng: random.Random) -> bytes:
    """What stands next to an image, whatever wrote it."""
    text = PACKET
    for _ in range(rng.randint(0, 2)):
        at = rng.choice([place + 1 for place, sign in enumerate(text) if sign == ">"])
        text = text[:at] + rng.choice((*PIECES, "<a>" * 3000 + "</a>" * 3000, rng.choice(TEXTS))) + text[at:]
    kind = rng.randrange(8)
    if kind < 3:
        text = rng.choice(HEADS) + text
    data = text.encode(errors="surrogatepass")
    if kind == 3:
        return damaged(rng, data)
    if kind == 4:
        return rng.choice((text.encode("utf-16", "replace"), codecs.BOM_UTF8 + data, text.encode("latin-1", "replace")))
    if kind == 5:
        return rng.choice((b"", b"\0", b"<", b"<a/>", b"<a>" * 50_000, b"<a" + b" b='" * 9000, rng.randbytes(3000)))
    return data
