"""faulty_server.py PORT FOLDER: gives out the files of FOLDER badly, by the first part of the path.

cut-N/     the first N answers end in the middle of their body
drop-N/    the first N requests get no answer
busy-N/    the first N answers are 503
stall-N/   the first N answers say nothing for a long time
short/     ranges are answered by half of what was asked for, and no length
changing/  each answer has another etag and size
headless/  HEAD is refused
elsewhere/ is a bucket of another region
pages/     a listing of an object store in pages of one name, after what lies in FOLDER
"""
import collections
import email.utils
import http.server
import os
import re
import sys
import time
import urllib.parse

port, folder = int(sys.argv[1]), sys.argv[2]
asked = collections.Counter()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *arguments):
        pass

    def list(self, query):
        names = sorted(os.listdir(folder))
        at = int(query.get('continuation-token', ['0'])[0].removeprefix('a+b/'))
        more = f'<NextContinuationToken>a+b/{at + 1}</NextContinuationToken>' if at + 1 < len(names) else ''
        name = names[at].replace('&', '&amp;')
        body = f'<ListBucketResult><Contents><Key>{name}</Key></Contents>{more}</ListBucketResult>'.encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def answer(self, has_body):
        url = urllib.parse.urlsplit(self.path)
        kind, _, name = urllib.parse.unquote(url.path).lstrip('/').partition('/')
        if kind == 'pages':
            return self.list(urllib.parse.parse_qs(url.query))
        if kind == 'elsewhere':
            self.send_response(301)
            self.send_header('x-amz-bucket-region', 'eu-north-1')
            self.send_header('Content-Length', '0')
            return self.end_headers()
        kind, _, count = kind.partition('-')
        asked[self.path] += 1
        is_bad = asked[self.path] <= int(count or 0) and has_body
        if kind == 'drop' and is_bad:
            self.close_connection = True
            return None
        if kind == 'headless' and not has_body:
            return self.send_error(405)
        if kind == 'stall' and is_bad:
            time.sleep(20)
        if kind == 'busy' and is_bad:
            self.send_response(503)
            self.send_header('Content-Length', '0')
            self.end_headers()
            return None
        with open(os.path.join(folder, name), 'rb') as file:
            body = file.read()
        etag, total = '"same"', len(body)
        if kind == 'changing':
            etag, total = f'"{sum(asked.values())}"', len(body) + sum(asked.values())
        wanted = re.fullmatch(r'bytes=(\d+)-(\d+)', self.headers.get('Range', ''))
        self.send_response(206 if wanted else 200)
        if wanted:
            first, last = int(wanted[1]), min(int(wanted[2]), len(body) - 1)
            body = body[first:last + 1]
            self.send_header('Content-Range', f'bytes {first}-{last}/{total}')
        self.send_header('ETag', etag)
        self.send_header('Last-Modified', email.utils.formatdate(asked[self.path] if kind == 'changing' else 0))
        if kind == 'short' and has_body and wanted:
            body = body[:len(body) // 2]
            self.send_header('Connection', 'close')
            self.close_connection = True
        else:
            self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        if not has_body:
            return None
        if kind == 'cut' and is_bad:
            self.wfile.write(body[:len(body) // 2])
            self.close_connection = True
            return None
        self.wfile.write(body)
        return None

    def do_GET(self):
        self.answer(True)

    def do_HEAD(self):
        self.answer(False)


http.server.ThreadingHTTPServer(('127.0.0.1', port), Handler).serve_forever()
