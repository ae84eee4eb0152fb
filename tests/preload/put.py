"""put.py ADDRESS PORT FOLDER: a web server that stores what is PUT or POSTed under the name in the path."""
import http.server
import os
import shutil
import socket
import sys


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def do_PUT(self):
        name = os.path.join(sys.argv[3], os.path.basename(self.path))
        left = int(self.headers['Content-Length'])
        if self.headers.get('Expect', '').lower() == '100-continue':
            self.send_response_only(100)
            self.end_headers()
        with open(name, 'wb') as out:
            while left and (data := self.rfile.read(min(left, 65536))):
                out.write(data)
                left -= len(data)
        body = f'{os.path.getsize(name)} bytes\n'.encode()
        self.send_response(201)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_PUT

    def handle_expect_100(self):
        return True


class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET
    daemon_threads = True


Server((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
