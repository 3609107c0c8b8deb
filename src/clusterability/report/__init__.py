"""What a person sees of a result: ``text`` for the terminal, ``figures`` for a page.

Nothing is imported here, so that text does not wait for matplotlib.
"""
