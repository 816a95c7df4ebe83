#!/usr/bin/env bash
# media_seeds.sh FOLDER: writes small media files of many kinds there by the ffmpeg program, for the fuzzer to begin with.
set -euo pipefail
mkdir -p "$1"
cd "$1"
make() { ffmpeg -nostdin -v error -y -threads 1 "$@"; }
picture=(-f lavfi -i testsrc=size=32x32:rate=5:duration=1.2)
sound=(-f lavfi -i sine=frequency=440:sample_rate=8000:duration=1.2)

make "${picture[@]}" "${sound[@]}" -c:v libx264 -g 3 -c:a aac -b:a 16k -f mp4 h264_aac.mp4
make "${picture[@]}" "${sound[@]}" -c:v mpeg4 -c:a adpcm_ima_wav -f avi mpeg4_adpcm.avi
make "${picture[@]}" "${sound[@]}" -c:v libvpx -b:v 20k -c:a libopus -b:a 8k -f webm vp8_opus.webm
make "${picture[@]}" "${sound[@]}" -c:v mjpeg -c:a pcm_s16le -f matroska mjpeg_pcm.mkv
make "${picture[@]}" "${sound[@]}" -r 25 -c:v mpeg2video -c:a mp2 -ar 16000 -b:a 16k -f mpegts mpeg2_mp2.ts
make "${picture[@]}" "${sound[@]}" -r 25 -c:v mpeg1video -c:a mp2 -ar 16000 -b:a 16k -f mpeg mpeg1_mp2.mpg
make "${picture[@]}" "${sound[@]}" -c:v flv -c:a pcm_s16le -ar 11025 -f flv flv_pcm.flv
make "${picture[@]}" -c:v ffv1 -f nut ffv1.nut
make "${picture[@]}" -f gif animated.gif
make "${picture[@]}" -c:v libx264 -f h264 raw.h264
make "${sound[@]}" -f wav sound.wav
make "${sound[@]}" -c:a adpcm_ms -f wav adpcm.wav
make "${sound[@]}" -f flac sound.flac
make "${sound[@]}" -c:a libmp3lame -b:a 8k -f mp3 sound.mp3
make "${sound[@]}" -c:a libvorbis -f ogg vorbis.ogg
make "${sound[@]}" -c:a aac -b:a 16k -f adts sound.aac
for format in au aiff caf w64; do make "${sound[@]}" -f "$format" "sound.$format"; done
for extension in png jpg webp bmp tiff ppm; do make "${picture[@]}" -frames:v 1 "picture.$extension"; done
make -f lavfi -i testsrc=size=17x13 -frames:v 1 -pix_fmt rgba64be deep.png
make -f lavfi -i testsrc=size=17x13 -frames:v 1 -pix_fmt yuvj422p odd.jpg
