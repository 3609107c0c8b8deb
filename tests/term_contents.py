"""What traced values are made of, element by element."""

import itertools

from clusterability.tracing.statistics import expanded


def contents(value):
    """For each element, in order: (operation, output, factor, entries of scales) of each term."""
    value = expanded(value)
    found = []
    for place in itertools.product(*map(range, value.shape)):
        terms = []
        for term in value.terms:
            label = int(term.labels[place])
            if label:
                origin = term.origin
                scales = [(s.name, int(entries[label - 1])) for s, entries in origin.scales]
                terms.append(
                    (origin.operation, int(origin.channels[label - 1]), origin.factor, *scales)
                )
        found.append(terms)
    return found


def outputs(value):
    """For each element the operations' outputs that it is made of, nothing else."""
    return [[(term[0], term[1]) for term in terms] for terms in contents(value)]
