import { LogOut, Monitor, Moon, Sun } from "lucide-react";
import type { ReactNode } from "react";
import * as api from "../api/client";
import { nextTheme, start, useApp } from "../state/app";
import { go } from "../state/route";
import { IconButton } from "../ui/kit";

export function Logo() {
  return (
    <svg className="logo" width="22" height="22" viewBox="0 0 32 32" aria-hidden="true">
      <path
        d="M3.5 19C3.5 10.8 8.6 4.5 15.8 4.5 23 4.5 28.5 9.6 28.5 16c0 6.4-4.3 11.5-9.6 11.5-4.3 0-5.6-2.3-8.4-2.3-4.3 0-7-.2-7-6.2Z"
        fill="var(--accent-soft)"
        stroke="var(--accent)"
        strokeWidth="2.6"
      />
      <circle cx="16.2" cy="15.6" r="3.4" fill="var(--accent)" />
    </svg>
  );
}

export function HomeLink() {
  return (
    <a
      className="home-link"
      href="/"
      aria-label="All projects"
      onClick={(event) => {
        event.preventDefault();
        go({ screen: "projects" });
      }}
    >
      <Logo />
    </a>
  );
}

export function ThemeButton() {
  const theme = useApp((state) => state.theme);
  const icon = { system: Monitor, light: Sun, dark: Moon }[theme];
  const name = { system: "like the system", light: "light", dark: "dark" }[theme];
  return <IconButton label={`Colours: ${name}. Click for others`} icon={icon} onClick={nextTheme} />;
}

export function Header({ children }: { children?: ReactNode }) {
  const info = useApp((state) => state.info);
  return (
    <header className="header">
      <HomeLink />
      <span className="header__name">masklet studio</span>
      {children}
      <span className="header__space" />
      {info && (
        <span
          className="chip"
          data-tip={`The model that finds the masks. ${info.model.backend}, masklet ${info.version}`}
        >
          Model: {info.model.name}
        </span>
      )}
      <ThemeButton />
      {info?.needs_login && (
        <IconButton label="Log out" icon={LogOut} onClick={() => void api.logout().then(() => start())} />
      )}
    </header>
  );
}
