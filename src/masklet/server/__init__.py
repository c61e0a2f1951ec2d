"""The studio: a server for many users and one model, with the page that it serves. Needs the `server` extra.

    app, run        the application, and the process that serves it
    studio          the state that all requests share
    routes/         the HTTP API, one module per subject; `schemas` defines the documents, `convert` makes them
    annotation/     one medium's annotations: `store` (a SQLite file), `history` (undo, idempotent requests),
                    `workspace` (every operation), `prompted_tracker` (answers prompts), `track_plan` (tracker runs)
    uploads/        uploads streamed to disk, probed in a separate process, added to a project
    results         masks for exports and renders, and the work of those jobs
    jobs            a bounded queue for tracking, exports and renders, and listeners of their progress
    shared_model    one model for all users, clicks before jobs
    frames          fast pictures of frames, in bounded memory
    database        users, projects, media and jobs, through SQLAlchemy
    security        tokens, logins, and checks of every request
    settings        limits, addresses, folders
    openapi         the description of the API, from which the page's types are generated
    client          a Python client of the API, independent of the above

Importing this package imports none of them.
"""
