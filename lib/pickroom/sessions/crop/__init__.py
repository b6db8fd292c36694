"""The crop desk: boxes edited (pure), a pure state machine over a page of images, the session that submits them."""
