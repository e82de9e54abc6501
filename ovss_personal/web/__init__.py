"""The page on which a thing is clicked, named, learned and found: `ovss-personal web`, extra `[web]`.

`server` opens the socket, `guard` says who may ask, `app` puts the requests together, `routes` answers them, `answers`
says what is wrong, `bodies` takes in what is sent. `turns` has one base work for all, on the thread of `worker`;
`tabs` keeps what each browser tab has, and `memory` gives back what closed ones had. `work` is all that needs the
base, `drawing` turns clicks into masks, `runs` codes masks for the page, `uploads` reads concepts. The page itself is
in `static/`.
"""
