"""The API's vocabulary. Coordinates are source pixels, frames count from 0, masks are COCO's compressed RLE."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from typing_extensions import Self

Coordinate = Annotated[float, Field(allow_inf_nan=False, ge=-1e6, le=1e6)]
ObjectIds = Annotated[list[Annotated[int, Field(ge=0, le=2**31)]], Field(max_length=1000)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Color = Annotated[str, Field(pattern="^#[0-9a-fA-F]{6}$", description="Red, green and blue.", examples=["#4f8cff"])]
FrameNumber = Annotated[int, Field(ge=0, le=2**31)]


class Schema(BaseModel):
    """Unknown fields are refused: a misspelt one would be ignored in silence."""

    model_config = ConfigDict(extra="forbid")


class ErrorBody(Schema):
    code: str = Field(description="A word for programs.", examples=["too_large"])
    message: str = Field(description="A sentence for a person: what was expected, what came, what to do.")
    field: str | None = Field(default=None, description="The part of the request that it is about.")


class ErrorAnswer(Schema):
    """What every error looks like."""

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
    image_size: int = Field(description="Side of the model's square, pixels.")
    has_graphs: bool = Field(description="Whether `GET /graphs` has the model for the page's own decoder.")


class LimitsInfo(Schema):
    max_bytes: int = Field(description="Of one upload.")
    max_pixels: int = Field(description="Of one image or frame.")
    max_frames: int = Field(description="Of one video.")
    max_seconds: float = Field(description="Of one video.")


class UserInfo(Schema):
    name: str


class Me(Schema):
    """Who you are, and what this server can do."""

    user: UserInfo | None = Field(description="Null until you log in.")
    needs_login: bool
    version: str
    model: ModelInfo
    models: list[str] = Field(description="Names of models that this server could run.")
    colors: list[str] = Field(description="That objects get one after the other.")
    limits: LimitsInfo


class LoginRequest(Schema):
    token: str = Field(min_length=1, max_length=500, description="As `masklet serve` printed it, or the admin gave it.")


class ProjectCreate(Schema):
    name: Name = Field(examples=["Birds"])
    classes: list[Name] = Field(default_factory=list, max_length=1000, description="Names of classes to choose from.")


class ProjectChange(Schema):
    name: Name | None = None
    classes: list[Name] | None = Field(default=None, max_length=1000)


class Project(Schema):
    id: str
    name: str
    created_at: datetime
    updated_at: datetime
    num_media: int
    thumbnail_url: str | None
    classes: list[str]


class Projects(Schema):
    projects: list[Project]


class Medium(Schema):
    """An image or a video; an image is a medium of one frame."""

    id: str
    project_id: str
    kind: Literal["image", "video"]
    name: str
    width: int
    height: int
    num_frames: int
    fps: float
    duration_s: float
    times_s_url: str | None = Field(default=None, description="Times of frames that are not evenly spaced.")
    has_audio: bool
    created_at: datetime
    updated_at: datetime
    thumbnail_url: str
    num_objects: int
    revision: int = Field(description="Grows with every change of objects, prompts or masks.")


class Media(Schema):
    media: list[Medium]


class RejectedFile(Schema):
    name: str
    message: str = Field(description="Why, in a sentence.")


class Uploaded(Schema):
    media: list[Medium]
    rejected: list[RejectedFile] = Field(description="Files that were not taken; the others were.")


class MediumChange(Schema):
    name: Name


class ObjectCreate(Schema):
    name: Name | None = None
    class_name: str | None = Field(default=None, max_length=200)
    color: Color | None = None


class ObjectChange(Schema):
    name: Name | None = None
    class_name: str | None = Field(default=None, max_length=200)
    color: Color | None = None
    locked: bool | None = Field(default=None, description="Neither prompts nor tracking change a locked object.")
    hidden: bool | None = None


class Object(Schema):
    id: int
    name: str
    class_name: str
    color: str
    locked: bool
    hidden: bool
    prompted_frames: list[int]


class Objects(Schema):
    objects: list[Object]


class GivenAnswer(Schema):
    """What a decoder of yours has answered to the prompt: the same graph, so the same mask, and nothing to wait for."""

    rle: Rle
    iou_prediction: float = Field(ge=0, le=1)
    object_score: float = Field(ge=-1000, le=1000)
    logits: str = Field(
        max_length=600_000, description="The chosen low-res logits (S/4, S/4), little-endian float32, base64."
    )


class PromptRequest(Schema):
    """What an object is on a frame. It takes the place of what was said there before."""

    points: list[Annotated[list[Coordinate], Field(min_length=2, max_length=2)]] = Field(
        default_factory=list, max_length=200, description="x and y.", examples=[[[210, 350]]]
    )
    labels: list[Literal[0, 1]] = Field(
        default_factory=list, max_length=200, description="One a point: 1 on the object, 0 not on it.", examples=[[1]]
    )
    box: Annotated[list[Coordinate], Field(min_length=4, max_length=4)] | None = Field(
        default=None, description="Left, top, right, bottom."
    )
    candidate: Annotated[int, Field(ge=0, le=2)] | None = Field(
        default=None, description="Of the answers to a lone click, best first, the one that is meant."
    )
    answer: GivenAnswer | None = Field(
        default=None,
        description="Kept in place of the server's own, if the object has not been tracked here; `GET /graphs`.",
    )

    @model_validator(mode="after")
    def _one_label_a_point(self) -> Self:
        if len(self.labels) != len(self.points):
            raise ValueError(
                f"labels must have one entry a point: {len(self.points)} points, {len(self.labels)} labels"
            )
        return self


class MaskRequest(Schema):
    rle: Rle = Field(description="The object's mask on this frame; an empty one says that it is not there.")


class ObjectMask(Schema):
    """One object on one frame."""

    object_id: int
    rle: Rle
    box: list[float] | None = Field(description="Left, top, right, bottom; null for an empty mask.")
    area: int = Field(description="Pixels.")
    status: Literal["present", "uncertain", "occluded", "lost"]
    iou_prediction: float = Field(description="How good the model thinks the mask is, 0 to 1.")
    object_score: float = Field(description="Logit: the object is there where it is above 0.")
    prompted: bool
    accepted: bool
    review: bool = Field(description="A user should have a look.")


class FrameMasks(Schema):
    frame_index: int
    time_s: float
    accepted: bool = Field(description="All masks here have been accepted, and there are some.")
    objects: list[ObjectMask]


class CandidateMask(Schema):
    rle: Rle
    iou_prediction: float


class PromptAnswer(Schema):
    frame: FrameMasks
    candidates: list[CandidateMask] = Field(description="Three for a lone click, else one; best first.")
    revision: int


class FrameAnswer(Schema):
    frame: FrameMasks | None
    revision: int


class SavedPrompt(Schema):
    points: list[list[float]]
    labels: list[int]
    box: list[float] | None
    has_mask: bool = Field(description="Drawn by hand.")
    candidate: int | None


class SavedPrompts(Schema):
    prompts: dict[str, SavedPrompt] = Field(description="By object id.")


class Masks(Schema):
    frames: list[FrameMasks]
    revision: int


class TimelineObject(Schema):
    object_id: int
    status: str = Field(description="A letter a frame: . none, p present, u uncertain, o occluded, l lost.")
    iou: list[int] = Field(description="0 to 100 a frame; -1: none.")
    prompted: list[int]
    stale: list[list[int]] = Field(description="Ranges [start, stop) that a later prompt can change.")


class Timeline(Schema):
    num_frames: int
    revision: int
    accepted: list[list[int]] = Field(description="Ranges [start, stop).")
    objects: list[TimelineObject]
    review: list[int] = Field(description="Frames to look at.")


class AcceptRequest(Schema):
    start: FrameNumber
    stop: FrameNumber = Field(description="The first frame after.")
    accepted: bool = True
    objects: ObjectIds | None = Field(default=None, description="All when left out.")


class AcceptAnswer(Schema):
    num_masks: int
    revision: int


class Suggestion(Schema):
    frame_index: int
    object_id: int
    reason: str
    score: float


class Suggestions(Schema):
    suggestions: list[Suggestion]


class History(Schema):
    can_undo: bool
    can_redo: bool
    undo: str | None = Field(description="What would be undone.")
    redo: str | None = Field(description="What would be redone.")


class HistoryAnswer(History):
    what: str | None = Field(description="What was undone or redone; null when there was nothing.")
    frame_index: int | None
    object_id: int | None
    revision: int


class TrackRequest(Schema):
    direction: Literal["forward", "backward", "both"] = "forward"
    start: FrameNumber | None = Field(
        default=None, description="The first frame that may change, whatever the direction."
    )
    stop: FrameNumber | None = Field(default=None, description="The first one after those.")
    objects: ObjectIds | None = None
    only_changed: bool = Field(
        default=False, description="Go over what has changed since the last time, and nothing else."
    )
    only_missing: bool = Field(
        default=False,
        description="Begin where each object's masks end: after a run that was stopped, or for new objects.",
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.only_changed and self.only_missing:
            raise ValueError("only_changed and only_missing cannot both be true: run one after the other")
        return self


class EverythingRequest(Schema):
    frame_index: FrameNumber = 0
    max_masks: Annotated[int, Field(ge=1, le=500)] = 100


class JobResult(Schema):
    url: str
    name: str
    bytes: int


class Job(Schema):
    id: str
    kind: Literal["track", "export", "render", "everything"]
    project_id: str
    media_id: str | None
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    done: int
    total: int | None
    fps: float | None
    eta_s: float | None
    message: str | None
    interrupted: bool = Field(description="The server ended before the job did: `only_missing` goes on from there.")
    result: JobResult | None
    created_at: datetime


class JobList(Schema):
    jobs: list[Job]


class Imported(Schema):
    objects: list[Object]
    num_masks: int
    skipped: list[str] = Field(description="What was left out, and why.")
    revision: int


class Graphs(Schema):
    """The model's own files, for a decoder in the page."""

    model: str
    image_size: int
    low_res_size: int
    mean: list[float] | None = Field(
        default=None, description="Null: the graph takes RGB of 0 to 255 and does this itself."
    )
    std: list[float] | None = None
    input: str = Field(description="How an image becomes the graph's input.")
    graphs: dict[str, str] = Field(description="Addresses of the graphs by stage.")
    manifest: dict[str, Any] = Field(description="model.json of the exported folder.")


class FormatInfo(Schema):
    id: str
    name: str
    description: str
    for_: list[Literal["image", "video"]] = Field(alias="for")
    suffix: str = Field(description="Of the file that comes.")
    many_media: bool = Field(description="Whether a whole project can be exported.")
    options: dict[str, Any] = Field(description="JSON schema.")

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class EffectInfo(Schema):
    id: str
    name: str
    target: Literal["object", "background"]
    options: dict[str, Any] = Field(description="JSON schema.")


class ContainerInfo(Schema):
    id: str
    name: str
    description: str
    has_alpha: bool


class Formats(Schema):
    formats: list[FormatInfo]
    effects: list[EffectInfo]
    containers: list[ContainerInfo] = Field(description="Kinds of files that renders are written to.")


class ExportRequest(Schema):
    format: str = Field(max_length=40, examples=["coco"])
    options: dict[str, Any] = Field(default_factory=dict)
    objects: ObjectIds | None = None
    only_accepted: bool = False


class RenderRequest(Schema):
    composition: dict[str, Any] = Field(description="See `masklet.render.Composition`.")
    container: Literal["mp4", "webm", "mov", "png", "gif"] = "mp4"
    start: FrameNumber | None = None
    stop: FrameNumber | None = None


class PreviewRequest(Schema):
    composition: dict[str, Any]
    width: Annotated[int, Field(ge=16, le=8192)] | None = None


class AssetInfo(Schema):
    id: str
    kind: Literal["image", "video"]
    name: str
    url: str


class Assets(Schema):
    assets: list[AssetInfo]


class Health(Schema):
    status: Literal["ok", "stopping"]
