"""Pages that need nothing else: `page` fills templates and tables, `pictures` shows slices, `charts` draws figures."""
