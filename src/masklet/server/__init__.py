"""The studio: a server for many users and one model, with the page that it serves. Needs the `server` extra.

    app, run        the application, and the process that serves it
    studio          the state that all requests share
    routes/         the HTTP API, one module per subject; `schemas` is its vocabulary, `convert` makes it from rows
    annotation/     one medium's annotations: `store` (a SQLite file), `history` (undo, idempotent requests),
                    `workspace` (every operation), `prompted_tracker` (answers to prompts), `track_plan` (tracker runs)
    uploads/        uploads streamed to disk, probed in a separate process, added to a project
    results         masks as exports and renders take them, and the work of those jobs
    jobs            a bounded queue for tracking, exports and renders, and listeners of their progress
    shared_model    one model for all users, and whose turn it is
    frames          pictures of frames, quickly, in bounded memory
    database        users, projects, media and jobs, through SQLAlchemy
    security        tokens, logins, and checks of every request
    settings        limits, addresses, folders
    openapi         the description of the API, from which the page's types are generated
    client          the API from Python, without any of the above

Importing this package imports none of them.
"""
