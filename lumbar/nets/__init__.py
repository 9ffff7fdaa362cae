"""What networks are made of: `backbones` from timm, `blocks` on top of them, `grading` heads, `losses`."""
