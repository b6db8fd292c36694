"""Automation: generate, review, apply - with a guarantee on what is approved unseen."""
