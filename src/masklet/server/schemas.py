"""Schemas of the HTTP API. Coordinates are source pixels, frames count from 0, masks are COCO's compressed RLE.

The page's TypeScript types are generated from these: see `masklet.server.openapi`.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, create_model

from masklet.prompts import TYPED_FIELDS
from masklet.server.hot_keys import HOT_KEYS
from masklet.server.names import clean_name, visible_name

Coordinate = Annotated[float, Field(allow_inf_nan=False, ge=-1e6, le=1e6)]
Point = Annotated[list[Coordinate], Field(min_length=2, max_length=2)]
"""x, y"""
Box = Annotated[list[Coordinate], Field(min_length=4, max_length=4)]
"""x0, y0, x1, y1"""
FrameRange = Annotated[list[int], Field(min_length=2, max_length=2)]
"""[start, stop)"""
MAX_PROMPT_VALUES = 200
"""Points of a prompt."""
ObjectIds = Annotated[list[Annotated[int, Field(ge=0, le=2**31)]], Field(max_length=1000)]
Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(visible_name)]
ClassName = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200),
    AfterValidator(visible_name),
    Field(description="Without spaces around."),
]
ClassText = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=200),
    AfterValidator(clean_name),
    Field(description="A class that the project lacks is added to its list; an empty text means no class."),
]
HotKey = Annotated[str, Field(pattern=f"^[{HOT_KEYS}]$", description="A digit or a letter.", examples=["1"])]
Color = Annotated[str, Field(pattern="^#[0-9a-fA-F]{6}$", description="Red, green and blue.", examples=["#4f8cff"])]
FrameNumber = Annotated[int, Field(ge=0, le=2**31)]
MediumKind = Literal["image", "video"]
MaskStatus = Literal["present", "uncertain", "occluded", "lost"]
MediumState = Literal["new", "work", "review", "accepted"]
"""Not started; in work; every frame has masks, which are to be reviewed; every frame is accepted."""
MediumSort = Literal[
    "added", "name", "changed", "state", "objects", "-added", "-name", "-changed", "-state", "-objects"
]
"""A minus sign turns the order round."""
MAX_LISTED = 10_000
"""Ids of media in one request or answer."""


class Schema(BaseModel):
    """Base of all schemas. Unknown fields are refused: a misspelt field would otherwise be ignored silently."""

    # Responses always contain every field, so the generated types need not treat defaults as optional.
    model_config = ConfigDict(extra="forbid", json_schema_serialization_defaults_required=True)


class ErrorBody(Schema):
    code: str = Field(description="A stable word for programs.", examples=["too_large"])
    message: str = Field(description="A sentence for people: what was expected, what came, what to do.")
    field: str | None = Field(default=None, description="The field of the request that caused the error.")


class ErrorAnswer(Schema):
    """The form of every error."""

    error: ErrorBody


class Rle(Schema):
    """A mask in COCO's compressed run-length encoding."""

    size: Annotated[list[Annotated[int, Field(ge=1, le=100_000)]], Field(min_length=2, max_length=2)] = Field(
        description="Height and width.", examples=[[4, 6]]
    )
    counts: str = Field(
        description="COCO's compressed runs, column by column.", max_length=16_000_000, examples=["64214"]
    )


class ModelInfo(Schema):
    name: str = Field(examples=["nano"])
    backend: str = Field(examples=["onnxruntime 1.24.1"])
    image_size: int = Field(description="Side of the model's square input, pixels.")
    has_graphs: bool = Field(description="Whether `GET /graphs` has the model's graphs for a decoder in the browser.")


class LimitsInfo(Schema):
    max_bytes: int = Field(description="Per upload.")
    max_pixels: int = Field(description="Per image or frame.")
    max_frames: int = Field(description="Per video.")
    max_seconds: float = Field(description="Per video.")


class UserInfo(Schema):
    name: str


class ServerInfo(Schema):
    """The current user, the model and the limits of this server."""

    user: UserInfo | None = Field(description="Null until you log in.")
    needs_login: bool
    version: str
    model: ModelInfo
    models: list[str] = Field(description="Names of the models that this server could run.")
    colors: list[str] = Field(description="Default colours of objects, in order of their ids; repeated when used up.")
    limits: LimitsInfo


class LoginRequest(Schema):
    token: str = Field(
        min_length=1, max_length=500, description="The token that `masklet serve` printed or the admin gave you."
    )


class ProjectCreate(Schema):
    name: Name = Field(examples=["Birds"])
    classes: list[ClassName] = Field(
        default_factory=list, max_length=1000, description="Names of classes; they get colours and hot keys."
    )


class ProjectChange(Schema):
    name: Name | None = None


class ClassCreate(Schema):
    name: ClassName = Field(examples=["duck"])
    color: Color | None = Field(default=None, description="By default one that the list has least.")
    key: HotKey | None = Field(default=None, description="By default the first free digit.")


class ClassChange(Schema):
    name: ClassName | None = Field(default=None, description="All objects of the class get the new name.")
    color: Color | None = None
    key: HotKey | Literal[""] | None = Field(
        default=None, description="A hot key; another class that has it loses it. An empty text removes the key."
    )
    position: Annotated[int, Field(ge=0, le=1000)] | None = Field(
        default=None, description="Place in the list, from 0. Exports number the classes in this order."
    )


class ClassMerge(Schema):
    into: str = Field(max_length=16, description="Id of the class that the objects get.")


class ClassInfo(Schema):
    """A class of a project's objects."""

    id: str
    name: str
    color: str
    key: str | None = Field(description="The hot key that gives the selected objects this class in the studio.")


class ClassList(Schema):
    classes: list[ClassInfo]


class MediaByState(Schema):
    """Number of media in each state."""

    new: int = Field(description="Without objects.")
    work: int = Field(description="With objects, but without masks that are up to date on every frame.")
    review: int = Field(description="With masks on every frame, not all of them accepted.")
    accepted: int = Field(description="Accepted on every frame.")


class ProjectProgress(Schema):
    """How far the work on a project is."""

    media: MediaByState
    num_frames: int = Field(description="Of all media; an image has one.")
    num_accepted: int = Field(description="Accepted frames.")
    num_objects: int
    num_in_trash: int = Field(description="Media in the trash, which are counted nowhere else.")


class ClassCount(Schema):
    name: str = Field(description='The class; "" stands for objects without one.')
    num_media: int
    num_objects: int


class ProjectInfo(Schema):
    id: str
    name: str
    created_at: datetime
    updated_at: datetime
    num_media: int
    progress: ProjectProgress
    thumbnail_url: str | None
    classes: list[ClassInfo] = Field(description="In the order in which exports number them, from 1 in COCO.")


class ProjectClasses(Schema):
    classes: list[ClassCount] = Field(description="The project's own classes in their order, then other classes.")


class ProjectList(Schema):
    projects: list[ProjectInfo]


class MediumProgress(Schema):
    """How far the work on a medium is."""

    state: MediumState
    num_marked: int = Field(description="Frames with a mask.")
    num_accepted: int = Field(description="Frames with masks, all of which are accepted.")
    num_to_review: int = Field(description="Frames with a mask that a user should review.")


class MediumInfo(Schema):
    """An image or a video; an image is a medium with one frame."""

    id: str
    project_id: str
    kind: MediumKind
    name: str
    width: int
    height: int
    num_frames: int
    fps: float
    duration_s: float
    has_audio: bool
    created_at: datetime
    updated_at: datetime
    thumbnail_url: str
    num_objects: int
    classes: list[str] = Field(description="Classes of its objects, in alphabetical order.")
    progress: MediumProgress
    trashed_at: datetime | None = Field(description="When it was moved to the trash; null if it is not there.")
    revision: int = Field(description="Increases with every change of objects, prompts or masks.")


class MediumList(Schema):
    media: list[MediumInfo]
    total: int = Field(description="Number of media that fit the filter; the answer has a part of them.")


class MediumIds(Schema):
    ids: list[str]


class Neighbours(Schema):
    """The media before and after one in its project."""

    previous: str | None = Field(description="Id of the medium before; null for the first.")
    next: str | None = Field(description="Id of the medium after; null for the last.")
    index: int = Field(description="Place of the medium, from 0.")
    total: int


class RejectedFile(Schema):
    name: str
    message: str = Field(description="The reason, in a sentence.")


class UploadReport(Schema):
    media: list[MediumInfo]
    rejected: list[RejectedFile] = Field(description="Files that were rejected; all others were added.")


class MediumChange(Schema):
    name: Name


class ObjectCreate(Schema):
    name: Name | None = None
    class_name: ClassText | None = None
    color: Color | None = None


class ObjectChange(Schema):
    name: Name | None = None
    class_name: ClassText | None = None
    color: Color | None = None
    locked: bool | None = Field(default=None, description="Neither prompts nor tracking change a locked object.")
    hidden: bool | None = None


class SegmentObject(Schema):
    """An object of a medium."""

    id: int
    name: str
    class_name: str
    color: str
    locked: bool
    hidden: bool
    prompted_frames: list[int]


class ObjectsChange(Schema):
    ids: ObjectIds = Field(min_length=1)
    class_name: ClassText | None = None
    color: Color | None = None
    locked: bool | None = None
    hidden: bool | None = None


class ObjectsDelete(Schema):
    ids: ObjectIds = Field(min_length=1)


class ObjectList(Schema):
    objects: list[SegmentObject]


class LocalDecode(Schema):
    """The mask that a client decoded itself with the server's graphs, so that nobody waits for the server."""

    rle: Rle
    iou_prediction: float = Field(ge=0, le=1)
    object_score: float = Field(ge=-1000, le=1000)
    logits: str = Field(
        max_length=600_000,
        description="The low-res logits (S/4, S/4) of the selected candidate: little-endian float32, base64.",
    )


def _api_type(json_type: Any) -> Any:
    """Return the type of a prompt's field as the API checks it: numbers in bounds, lists of a length in bounds."""
    inner = get_args(json_type)
    if json_type is float:
        return Coordinate
    if get_origin(json_type) is tuple:
        return Annotated[list[Coordinate], Field(min_length=len(inner), max_length=len(inner))]
    if get_origin(json_type) is list:
        return Annotated[list[_api_type(inner[0])], Field(max_length=MAX_PROMPT_VALUES)]  # type: ignore[misc]
    return _api_type(inner[0]) | None if type(None) in inner else json_type


def _prompt_fields() -> dict[str, Any]:
    """Return the fields of `masklet.Prompt` that a user can type or click, as `create_model` takes them."""
    declared = {}
    for item in TYPED_FIELDS:
        is_optional = type(None) in get_args(item.json_type)
        default: dict[str, Any] = {"default": None} if is_optional else {"default_factory": list}
        examples = None if item.example is None else [item.example]
        field = Field(**default, description=item.description, examples=examples)
        declared[item.short_name] = (_api_type(item.json_type), field)
    return declared


if TYPE_CHECKING:

    class PromptFieldsInfo(Schema):
        """The fields of a prompt; see `_prompt_fields`."""

else:
    PromptFieldsInfo = create_model("PromptFieldsInfo", __base__=Schema, **_prompt_fields())


class PromptRequest(PromptFieldsInfo):
    """The prompt of one object on one frame. It replaces an earlier prompt there."""

    candidate: Annotated[int, Field(ge=0, le=2)] | None = Field(
        default=None, description="Selects one of the candidates of a single click, counted from the best."
    )
    answer: LocalDecode | None = Field(
        default=None,
        description="Kept instead of running the model, if the object has not been tracked on this frame.",
    )


class MaskRequest(Schema):
    rle: Rle = Field(description="The object's mask on this frame; an empty mask marks the object as absent.")


class ObjectMask(Schema):
    """One object on one frame."""

    object_id: int
    rle: Rle
    box: Box | None = Field(description="Left, top, right, bottom; null for an empty mask.")
    area: int = Field(description="Pixels.")
    status: MaskStatus
    iou_prediction: float = Field(description="The model's estimate of the mask's IoU, 0 to 1.")
    object_score: float = Field(description="Logit; above 0 the object is visible.")
    confidence: float = Field(description="Expected IoU of the mask after calibration, 0 to 1.")
    prompted: bool
    accepted: bool
    review: bool = Field(description="True where a user should review the mask.")


class FrameMasksInfo(Schema):
    """All masks of one frame."""

    frame_index: int
    time_s: float
    accepted: bool = Field(description="True if there are masks and all of them have been accepted.")
    objects: list[ObjectMask]


class CandidateMask(Schema):
    rle: Rle
    iou_prediction: float
    confidence: float = Field(description="Expected IoU of the mask after calibration, 0 to 1.")


class PromptAnswer(Schema):
    frame: FrameMasksInfo
    candidates: list[CandidateMask] = Field(description="Three for a single click, otherwise one; best first.")
    revision: int


class FrameAnswer(Schema):
    frame: FrameMasksInfo | None
    revision: int


class PromptInfo(PromptFieldsInfo):
    has_mask: bool = Field(description="True for a mask drawn by hand.")
    candidate: int | None


class FramePrompts(Schema):
    prompts: dict[str, PromptInfo] = Field(description="By object id.")


class FrameMasksList(Schema):
    frames: list[FrameMasksInfo]
    revision: int


class TimelineObject(Schema):
    object_id: int
    status: str = Field(
        description="One letter per frame: . none, p present, u uncertain, o occluded, l lost.", examples=["pppu.."]
    )
    confidence: list[int] = Field(description="One number per frame: 0 to 100, or -1 where there is no mask.")
    prompted: list[int]
    stale: list[FrameRange] = Field(description="Ranges [start, stop) that a later prompt can change.")


class Timeline(Schema):
    num_frames: int
    revision: int
    accepted: list[FrameRange] = Field(description="Ranges [start, stop).")
    objects: list[TimelineObject]
    review: list[int] = Field(description="Frames with a mask that a user should review.")


class AcceptRequest(Schema):
    start: FrameNumber
    stop: FrameNumber = Field(description="The first frame after the range.")
    accepted: bool = True
    objects: ObjectIds | None = Field(default=None, description="All objects if left out.")


class AcceptAnswer(Schema):
    num_masks: int
    revision: int


class SuggestionInfo(Schema):
    frame_index: int
    object_id: int
    reason: str
    score: float


class SuggestionList(Schema):
    suggestions: list[SuggestionInfo]


class History(Schema):
    can_undo: bool
    can_redo: bool
    undo: str | None = Field(description="Title of the operation that would be undone.")
    redo: str | None = Field(description="Title of the operation that would be redone.")


class HistoryAnswer(History):
    what: str | None = Field(description="Title of what was undone or redone; null when there was nothing.")
    frame_index: int | None
    object_id: int | None
    revision: int


class ImportReport(Schema):
    objects: list[SegmentObject]
    num_masks: int
    skipped: list[str] = Field(description="What was left out, and why.")
    revision: int


class GraphUrls(Schema):
    encode_image: str
    match: str | None = Field(description="None for models without a correspondence.")
    attend: str
    decode: str
    decode_tracked: str | None = Field(description="None for models without a correspondence.")
    encode_memory: str


class Graphs(Schema):
    """The exported model that the server runs, for a decoder in the browser."""

    model: str
    image_size: int
    low_res_size: int
    input: str = Field(description="How to make the graph's input from an image.")
    graphs: GraphUrls = Field(description="URL of each stage's graph.")
    manifest: dict[str, Any] = Field(description="model.json of the exported folder.")


class Health(Schema):
    status: Literal["ok", "not ready"]
    faults: list[str] = []
    """What keeps the server from working."""
