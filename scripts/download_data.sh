#!/usr/bin/env bash
# Get the competition's data (27 GB) from Kaggle into datamount/ and unpack it.
#   scripts/download_data.sh [FOLDER]     (default: datamount)
# Needs the Kaggle client (pip install kaggle), its token, and the competition's rules accepted on its web page.
set -euo pipefail
competition=rsna-2024-lumbar-spine-degenerative-classification
page=https://www.kaggle.com/competitions/$competition

fail() { echo "error: $*" >&2; exit 1; }

case "${1:-}" in
  -h | --help) sed -n '2,4s/^# //p' "$0"; exit 0 ;;
  -*) echo "error: unknown option $1; usage: $0 [FOLDER]" >&2; exit 2 ;;
esac
folder=${1:-datamount}

archive=$folder/$competition.zip
# An archive that is still there was not unpacked to its end.
if [ -f "$folder/train.csv" ] && [ -d "$folder/train_images" ] && [ ! -e "$archive" ]; then
  if [ -e "$folder/truth_grades.csv" ]; then
    fail "$folder: holds a synthetic competition; name another folder or remove it first"
  fi
  echo "$folder: the download is already there; nothing to do"
  exit 0
fi
command -v kaggle > /dev/null || fail "the Kaggle client is not installed; run: pip install kaggle"
command -v unzip > /dev/null || fail "unzip is not installed; install it with your system's package manager"
if [ -z "${KAGGLE_API_TOKEN:-}" ] && { [ -z "${KAGGLE_USERNAME:-}" ] || [ -z "${KAGGLE_KEY:-}" ]; } \
  && [ ! -f "${KAGGLE_CONFIG_DIR:-$HOME/.kaggle}/kaggle.json" ] && [ ! -f "$HOME/.kaggle/access_token" ]; then
  fail "no Kaggle token; make one at https://www.kaggle.com/settings (API) and save it as ~/.kaggle/kaggle.json"
fi

mkdir -p "$folder"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! kaggle competitions download -c "$competition" -p "$folder" 2>&1 | tee "$log"; then
  if grep -Eqi '403|forbidden|accept' "$log"; then
    fail "Kaggle refuses the download; accept the competition's rules at $page/rules and run this again"
  elif grep -Eqi '401|unauthorized|authenticate' "$log"; then
    fail "Kaggle does not accept the token; make a new one at https://www.kaggle.com/settings (API)"
  fi
  fail "the download failed (see above); run this again to go on with it"
fi
[ -s "$archive" ] || fail "$archive: not there after the download; see the client's messages above"
unzip -o -q "$archive" -d "$folder" || fail "$archive: damaged; delete it and run this again"
rm -f "$archive"
[ -f "$folder/train.csv" ] || fail "$folder/train.csv: not in the archive; has the competition's layout changed?"
echo "$folder: $(find "$folder/train_images" -name '*.dcm' | wc -l) training slices. Next: python scripts/check_data.py --data $folder"
