"""The user's choices in other programs' formats: XMP sidecars, COCO, Hugging Face imagefolder, preference pairs."""
