"""Pages that need nothing else: `page` fills templates, `pictures` shows slices with marks, `charts` draws figures."""
