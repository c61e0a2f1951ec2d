import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

const server = process.env.MASKLET_SERVER ?? "http://127.0.0.1:8190";

export default defineConfig({
  plugins: [react()],
  build: {
    outDir: "../src/masklet/server/static",
    emptyOutDir: true,
    target: "es2022",
    // The page's content security policy allows no data: scripts, and the WASM must stay a file of its own.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 1200,
  },
  worker: { format: "es" },
  optimizeDeps: { exclude: ["onnxruntime-web"] },
  server: {
    proxy: { "/api": { target: server, ws: true } },
    // Cross-origin isolation, as the real server sends it: threads in WASM need it.
    headers: { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" },
  },
});
