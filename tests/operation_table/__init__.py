"""Every rule's operation, and how a random network applies it."""

from operation_table.elementwise import CONSTANTS_IN_A_FORM, ELEMENTWISE
from operation_table.entry import Operation, OperationModule
from operation_table.masks import CONSTANT_MASKS
from operation_table.movement import MOVEMENT
from operation_table.normalizations_by_hand import NORMALIZATIONS_BY_HAND
from operation_table.normalizing import NORMALIZING
from operation_table.pooling import POOLING
from operation_table.sums_of_products import SUMS_OF_PRODUCTS
from operation_table.weighing import WEIGHING

OPERATIONS: dict[str, Operation | OperationModule] = {
    **ELEMENTWISE,
    **MOVEMENT,
    **POOLING,
    **NORMALIZING,
    **WEIGHING,
}
"""By name, as in the registry without ``aten.``"""

COMPOSITIONS: dict[str, Operation | OperationModule] = {
    **NORMALIZATIONS_BY_HAND,
    **CONSTANT_MASKS,
    **CONSTANTS_IN_A_FORM,
    **SUMS_OF_PRODUCTS,
}
"""Several operations that are followed as one, by a name of their own."""

__all__ = ["COMPOSITIONS", "OPERATIONS", "Operation", "OperationModule"]
