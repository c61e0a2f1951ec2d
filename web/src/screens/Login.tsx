import { LogIn } from "lucide-react";
import { type FormEvent, useEffect, useState } from "react";
import * as api from "../api/client";
import { messageOf } from "../lib/text";
import { Logo } from "../shell/Header";
import { start } from "../state/app";
import { Button } from "../ui/kit";

/** Asks for the token of a server that other machines can reach. The printed address may contain it: #token=... */
export function Login() {
  const [token, setToken] = useState("");
  const [error, setError] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);

  const enter = async (entered: string) => {
    setBusy(true);
    try {
      await api.login(entered.trim());
      await start();
    } catch (problem) {
      setError(messageOf(problem));
    } finally {
      setBusy(false);
    }
  };

  // biome-ignore lint/correctness/useExhaustiveDependencies: once, when the page opens
  useEffect(() => {
    const printed = new URLSearchParams(location.hash.slice(1)).get("token");
    if (!printed) return;
    history.replaceState(null, "", location.pathname + location.search); // keep the token out of the browser's history
    void enter(printed);
  }, []);

  return (
    <main className="screen-centre">
      <form
        className="login"
        onSubmit={(event: FormEvent) => {
          event.preventDefault();
          void enter(token);
        }}
      >
        <Logo />
        <h1 className="login__title">Log in</h1>
        <p className="login__text">
          Enter the token that `masklet serve` printed, or that the administrator of this studio gave you.
        </p>
        <label className="field">
          <span className="field__label">Token</span>
          <input
            className="input"
            type="password"
            autoComplete="current-password"
            value={token}
            onChange={(event) => setToken(event.currentTarget.value)}
            aria-invalid={error !== null}
          />
        </label>
        {error && (
          <p className="form-error" role="alert">
            {error}
          </p>
        )}
        <Button type="submit" variant="primary" icon={LogIn} large wide disabled={!token.trim() || busy}>
          Log in
        </Button>
      </form>
    </main>
  );
}
