"""Official `modeling/sam2_base.py`: the class of models, and the logit of what is not there."""

from masklet.compat.sam2.model import SAM2Base
from masklet.records import ABSENT_LOGIT

NO_OBJ_SCORE = ABSENT_LOGIT

__all__ = ["NO_OBJ_SCORE", "SAM2Base"]
