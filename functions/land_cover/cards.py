"""Which models judge land cover: what their cards have to say. Nothing heavy is imported, for plan and api."""

from eo.card import Card, Task
from eo.errors import InvalidInput
from eo.job import Plan
from eo.model import read_card
from land_cover.labels import CLASSES
from land_cover.patches import METRES, PATCH

TASK: Task = "scene-classification"
INPUT, OUTPUT = "patches", "probabilities"
THRESHOLD = 0.5
"""Where the card has none of its own."""


def card(name: str) -> Card:
    """The card of a model that judges patches. Raises InvalidInput where it does something else."""
    found = read_card(name, task=TASK)
    shapes = {tensor.name: (tensor.dtype, tensor.shape) for tensor in (*found.inputs, *found.outputs)}
    wanted = {
        INPUT: ("float32", ("batch", len(found.bands), PATCH, PATCH)),
        OUTPUT: ("float32", ("batch", len(CLASSES))),
    }
    fits = {
        f"the task {found.task}, not {TASK}": found.task == TASK,
        f"{len(found.classes)} classes, not the {len(CLASSES)} of BigEarthNet in their order": found.classes == CLASSES,
        f"level {found.level}, not L2A": found.level == "L2A",
        f"pixels of {found.grid.metres:g} m, not {METRES} m": found.grid.metres == METRES,
        f"the inputs and outputs {shapes}, not {wanted}": shapes == wanted,
    }
    if faults := [text for text, fit in fits.items() if not fit]:
        raise InvalidInput(
            f"model {name} has {faults[0]}: choose one that is made for land-cover, such as land-cover-resnet26"
        )
    return found


def thresholds(found: Card) -> tuple[float, ...]:
    """Probability from which a patch has a label, by class."""
    return found.thresholds or (THRESHOLD,) * len(CLASSES)


def check_demo(plan: Plan, found: Card) -> None:
    """Refuse real scenes to a model that has seen none. Raises InvalidInput."""
    real = [scene.id for scene in plan.scenes if not scene.synthetic]
    if found.synthetic and real and not plan.inputs["allow_demo_model"]:
        raise InvalidInput(
            f"model {found.name} has learnt from generated patches alone ({found.training.data}), and scene {real[0]} is a real "
            "one, of which it knows nothing: choose a model trained on BigEarthNet, or give allow_demo_model (--allow-demo-model) "
            "for results that are no more than a demonstration, and say so"
        )


def named(found: Card) -> str:
    """The model as each patch names it, so that tables that have lost their metadata still tell a demonstration."""
    return f"{found.name} (trained on generated patches: demonstration only)" if found.synthetic else found.name


def warning(found: Card) -> str:
    """What every output says where the model has learnt from generated patches alone; empty where it has not."""
    if not found.synthetic:
        return ""
    return f"DEMONSTRATION: model {found.name} has learnt from generated patches alone; these labels say nothing of real ground"
