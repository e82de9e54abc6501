"""The page on which a thing is clicked, named, learned and found: `ovss-personal web`, extra `[web]`.

`server` opens the socket, `app` says who may ask, `routes` answers, `turns` has one base work for all, `tabs` keeps
what each browser tab has, `work` is all that needs the base, `drawing` turns clicks into masks, `runs` codes masks for
the page. The page itself is in `static/`.
"""
