/** The small parts that every screen is made of. They know nothing of the page's state. */

export { ComboField } from "./ComboField";
export { Button, IconButton, Kbd, Keys, Segmented, Switch } from "./controls";
export { Dialog } from "./Dialog";
export { Empty, Progress, Spinner } from "./feedback";
export { InlineText } from "./InlineText";
export { MenuButton } from "./MenuButton";
export { TooltipLayer } from "./TooltipLayer";
