"""The studio: a server for many users and one model, with the page that it serves. Needs the `server` extra.

    settings      what may be uploaded, how long things live
    database      users, projects, media and jobs, through SQLAlchemy
    annotations   what users said of one medium and what came of it: one SQLite file each, with undo
    shared_model  one model for all, and whose turn it is
    workspace     a medium that is open, and every operation on it; `open_media` has those that are open
    prompted_tracker  its tracker, made from the annotations: what is answered to a prompt, and how that is kept
    track_plan    which runs of the tracker a wish to track comes down to
    frames        pictures of frames, quickly, in bounded memory
    ingest, probe uploads: streamed to disk, looked at in a process of their own
    jobs          tracking, exports, renderings: a bounded queue, and who is told of them
    security      tokens, logins, and what a request must be like
    routes_*      the HTTP API; `schemas` is its vocabulary; `app` puts all together, `run` serves it
    client        the API from Python, without any of the above

Importing this package imports none of them.
"""
