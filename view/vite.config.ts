import { defineConfig } from "vite";

// Paths in the pages are relative: jobs/job/view.html lies as deep as the address GET /jobs/{id}/view that serves it, so
// that the pages work under any stage or prefix of an API.
export default defineConfig({
  base: "./",
  build: {
    outDir: "../functions/api/web",
    emptyOutDir: true,
    assetsDir: "static",
    // As files, never as data: URLs: the pages' Content-Security-Policy allows their own origin alone.
    assetsInlineLimit: 0,
    target: "es2022",
    modulePreload: { polyfill: false },
    rollupOptions: { input: ["index.html", "jobs/job/view.html"] },
  },
  worker: { format: "es" },
});
