"""Schemas of formats, exports and rendered videos."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from masklet.server.schemas import MAX_LISTED, FrameNumber, MediumKind, ObjectIds, Schema

ContainerId = Literal["mp4", "webm", "mov", "png", "jpeg", "gif"]

OPTIONS_SCHEMA = (
    "JSON schema of the options. Beyond JSON schema, x-names has a name for each value of an enum, x-only-if the "
    "values of other options without which an option does nothing, x-only-for the kind of medium for which it matters."
)


class FormatInfo(Schema):
    id: str
    name: str
    description: str
    for_: list[MediumKind] = Field(alias="for")
    suffix: str = Field(description="File suffix of the export.")
    many_media: bool = Field(description="Whether a whole project can be exported to one file.")
    options: dict[str, Any] = Field(description=OPTIONS_SCHEMA)

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class EffectInfo(Schema):
    id: str
    name: str
    target: Literal["object", "background"]
    kinds: list[MediumKind] = Field(description="Kinds of media that it makes sense for.")
    options: dict[str, Any] = Field(description=OPTIONS_SCHEMA)


class ImportFormatInfo(Schema):
    id: str
    description: str = Field(description="The files that can be imported.")


class ContainerInfo(Schema):
    id: ContainerId
    name: str
    description: str
    kinds: list[MediumKind] = Field(description="Kinds of media that it makes sense for.")
    has_alpha: bool


class FormatCatalogue(Schema):
    formats: list[FormatInfo]
    imports: list[ImportFormatInfo] = Field(description="Formats from which masks can be imported.")
    effects: list[EffectInfo]
    edges: dict[str, Any] = Field(description="JSON schema of the options for soft edges in a composition.")
    containers: list[ContainerInfo] = Field(description="File formats for rendered videos.")


class ExportRequest(Schema):
    format: str = Field(max_length=40, examples=["coco"])
    options: dict[str, Any] = Field(default_factory=dict)
    objects: ObjectIds | None = None
    media: list[str] | None = Field(
        default=None, max_length=MAX_LISTED, description="For a project: ids of its media; all if left out."
    )
    only_accepted: bool = False


class RenderRequest(Schema):
    composition: dict[str, Any] = Field(description="See `masklet.render.Composition`.")
    container: ContainerId = "mp4"
    start: FrameNumber | None = None
    stop: FrameNumber | None = None


class PreviewRequest(Schema):
    composition: dict[str, Any] = Field(description="See `masklet.render.Composition`.")
    width: Annotated[int, Field(ge=16, le=8192)] | None = None


class AssetInfo(Schema):
    id: str
    kind: MediumKind
    name: str
    url: str


class AssetList(Schema):
    assets: list[AssetInfo]
