"""AWS's signature, version 4, of requests to S3 with the key S3RVER: for tests, written apart from what they test.

signature.py check PORT STORE_PORT: a server that answers 403 to what is not signed rightly, and hands on the rest to an
object store on this machine (s3rver, which knows no signatures of this version).
signature.py put ENDPOINT BUCKET KEY FILE: writes an object.
"""
import datetime
import hashlib
import hmac
import http.client
import http.server
import sys
import urllib.parse

SECRET = 'S3RVER'


def sign(secret, method, path, query, headers, names, digest, time, scope):
    """headers: by names in lower case; path and query: as they are sent."""
    values = [f'{name}:{" ".join(headers[name].split())}' for name in names]
    pairs = [pair if '=' in pair else pair + '=' for pair in query.split('&') if pair]
    decoded = [[urllib.parse.unquote(part) for part in pair.split('=', 1)] for pair in pairs]
    encoded = sorted([urllib.parse.quote(part, safe='-._~') for part in pair] for pair in decoded)
    text = '&'.join('='.join(pair) for pair in encoded)
    uri = urllib.parse.quote(urllib.parse.unquote(path), safe='/-._~')
    canonical = '\n'.join([method, uri, text, *values, '', ';'.join(names), digest])
    key = ('AWS4' + secret).encode()
    for part in scope.split('/'):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    to_sign = '\n'.join(['AWS4-HMAC-SHA256', time, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    return hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()


def check_example():
    """The example of Amazon's documentation, "Authenticating Requests: GET Object"."""
    nothing = hashlib.sha256(b'').hexdigest()
    headers = {'host': 'examplebucket.s3.amazonaws.com', 'range': 'bytes=0-9', 'x-amz-content-sha256': nothing,
               'x-amz-date': '20130524T000000Z'}
    found = sign('wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY', 'GET', '/test.txt', '', headers, sorted(headers), nothing,
                 '20130524T000000Z', '20130524/us-east-1/s3/aws4_request')
    assert found == 'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41', found


class Check(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *arguments):
        pass

    def trouble(self):
        headers = {name.lower(): value for name, value in self.headers.items()}
        kind, _, rest = headers.get('authorization', '').partition(' ')
        if kind != 'AWS4-HMAC-SHA256':
            return 'AccessDenied'
        fields = dict(field.strip().split('=', 1) for field in rest.split(','))
        names = fields['SignedHeaders'].split(';')
        needed = {'host'} | {name for name in headers if name.startswith('x-amz-')}
        if names != sorted(names) or not needed <= set(names) or 'x-amz-content-sha256' not in names:
            return 'AccessDenied'
        path, _, query = self.path.partition('?')
        wanted = sign(SECRET, self.command, path, query, headers, names, headers['x-amz-content-sha256'],
                      headers['x-amz-date'], fields['Credential'].split('/', 1)[1])
        return '' if wanted == fields['Signature'] else 'SignatureDoesNotMatch'

    def send(self, status, headers, body):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(body)

    def answer(self):
        content = self.rfile.read(int(self.headers.get('Content-Length', 0)))
        if trouble := self.trouble():
            body = f'<Error><Code>{trouble}</Code></Error>'.encode()
            return self.send(403, [('Content-Length', str(len(body)))], body)
        store = http.client.HTTPConnection('127.0.0.1', int(sys.argv[3]))
        store.request(self.command, self.path, content or None, dict(self.headers))
        reply = store.getresponse()
        body = reply.read()
        kept = [(name, value) for name, value in reply.getheaders()
                if name.lower() not in ('connection', 'keep-alive', 'transfer-encoding', 'content-length')]
        length = reply.getheader('Content-Length') if self.command == 'HEAD' else None
        return self.send(reply.status, kept + [('Content-Length', length or str(len(body)))], body)

    do_GET = do_HEAD = do_PUT = answer


def put(endpoint, bucket, key, file):
    host = urllib.parse.urlsplit(endpoint).netloc
    with open(file, 'rb') as opened:
        body = opened.read()
    path = '/' + bucket + '/' + urllib.parse.quote(key, safe='/-._~')
    time = datetime.datetime.now(datetime.timezone.utc).strftime('%Y%m%dT%H%M%SZ')
    scope, digest = f'{time[:8]}/us-east-1/s3/aws4_request', hashlib.sha256(body).hexdigest()
    headers = {'host': host, 'x-amz-content-sha256': digest, 'x-amz-date': time}
    names = sorted(headers)
    signature = sign(SECRET, 'PUT', path, '', headers, names, digest, time, scope)
    headers['authorization'] = (f'AWS4-HMAC-SHA256 Credential=S3RVER/{scope}, SignedHeaders={";".join(names)}, '
                                f'Signature={signature}')
    connection = http.client.HTTPConnection(host)
    connection.request('PUT', path, body, headers)
    answer = connection.getresponse()
    if answer.status != 200:
        sys.exit(f'HTTP {answer.status}: {answer.read().decode()}')


check_example()
if sys.argv[1] == 'check':
    http.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[2])), Check).serve_forever()
else:
    put(*sys.argv[2:])
