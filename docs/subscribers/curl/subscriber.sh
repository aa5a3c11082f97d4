#!/bin/sh
# Keeps the events of feeds in files: killed and started again, it loses and repeats none.
#
# FEEDS are read, with spaces between them, as in "https://exchange.example/events?topics=ExchangeCompleted
# https://survey.example/events?topics=SurveySubmitted"; tokens come from TOKEN_URL, for CLIENT_ID and CLIENT_SECRET. In STORE
# each feed has a folder of pages: the first line is the cursor behind the page, each other line one event. A page appears as a
# whole, by a rename, and the next one is asked for from the newest page's cursor on.
set -eu
export LC_ALL=C
store=${STORE:-events}

# A token is good for some minutes: another is fetched when one is refused.
sign_in() {
    TOKEN=$(printf 'user = "%s:%s"\n' "$CLIENT_ID" "$CLIENT_SECRET" |
        curl -sS -f -K - -d grant_type=client_credentials "$TOKEN_URL" |
        sed 's/.*"access_token": *"\([^"]*\)".*/\1/')
}

# Prints the cursor and the events of a page, but for what is forgotten.
page() {
    echo "$1"
    sed 's/^\[//; s/[],]$//' "$2" | sed -f "$3"
}

# Asks a feed for its next page, and waits there for some seconds if there is none yet.
read_on() {
    feed=$1 folder=$2 new=$2/new.$$
    newest=$(ls "$folder" | grep '\.page$' | tail -n 1)
    after=$(if [ "$newest" ]; then head -n 1 "$folder/$newest"; else echo 1-0; fi)
    # over its input, as others on this machine see what curl is called with
    printf 'header = "Authorization: Bearer %s"\n' "$TOKEN" |
        curl -sS --fail-with-body -K - -D "$new.head" -o "$new.body" "$feed&after=$after&limit=1000&wait=5" ||
        { cat "$new.body" >&2 || :; sleep 5; sign_in; return; }
    next=$(sed -n 's/^[Ll]ink:.*[?&]after=\([0-9-]*\).*/\1/p' "$new.head")
    [ "${next:?is not in the answer}" != "$after" ] || return 0

    # An event without data is a tombstone: what is known of its subject is forgotten, for good.
    sed -n '/"data":/! s/.*\("type":"[^"]*","subject":"[^"]*"\).*/\/\1.*"data":\/d/p' "$new.body" >"$new.forget"
    if [ -s "$new.forget" ]; then
        cat "$new.forget" >>"$folder/forgotten"
        for old in "$folder"/*.page; do
            [ ! -e "$old" ] || { sed -f "$new.forget" "$old" >"$new.old" && mv "$new.old" "$old"; }
        done
    fi
    number=$(expr "${newest%.page}" + 1 2>/dev/null || echo 1)
    page "$next" "$new.body" "$folder/forgotten" >"$new.whole"
    mv "$new.whole" "$folder/$(printf '%09d' "$number").page"
}

[ "${TOKEN:-}" ] || sign_in
while :; do
    for feed in $FEEDS; do
        folder=$store/$(printf '%s' "$feed" | tr -c 'A-Za-z0-9' '_')
        mkdir -p "$folder"
        rm -f "$folder"/new.*
        touch "$folder/forgotten"
        read_on "$feed" "$folder"
    done
done
