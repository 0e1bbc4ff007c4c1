"""Documentation: `refimpl docs` writes a static site that needs no network, and no JavaScript to be read.

Read `site`, the pages, and `sources`, which reads the packages as they stand, without importing them; `markdown`, with
`mathml` and `highlight`, renders docstrings and the pages in Markdown; `lesson` runs the code of lessons. `paper` lists
what the paper and its neighbours number and name, `index` finds where each is derived, coded, tested, tried and drawn.
"""
