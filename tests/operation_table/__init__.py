"""Every rule's operation, and how a random network applies it."""

from operation_table.elementwise import ELEMENTWISE
from operation_table.entry import Operation, OperationModule
from operation_table.movement import MOVEMENT
from operation_table.normalizing import NORMALIZING
from operation_table.pooling import POOLING
from operation_table.weighing import WEIGHING

OPERATIONS: dict[str, Operation | OperationModule] = {
    **ELEMENTWISE,
    **MOVEMENT,
    **POOLING,
    **NORMALIZING,
    **WEIGHING,
}
"""By name, as in the registry without ``aten.``"""

__all__ = ["OPERATIONS", "Operation", "OperationModule"]
