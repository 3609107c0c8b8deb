"""Results for human readers: ``text`` for the terminal, ``figures`` for a page.

Nothing is imported here, so that printing text does not import matplotlib.
"""
