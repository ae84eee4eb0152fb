# shellcheck shell=bash disable=SC2154 # a row of programs.sh, sourced by it
needs_node='node curl'

node_files() {
    cat > server.js <<- 'END'
	const http = require('http'), fs = require('fs');
	http.createServer((q, s) => {
	  if (q.method === 'PUT') q.pipe(fs.createWriteStream('stored/node')).on('finish', () => s.end('ok'));
	  else fs.createReadStream('data').pipe(s);
	}).listen(+process.argv[3], process.argv[2]);
	END
    cat > client.js <<- 'END'
	const http = require('http'), fs = require('fs');
	const o = {host: process.argv[2], port: +process.argv[3], agent: new http.Agent({keepAlive: true})};
	http.get({...o, path: '/'}, r => r.pipe(fs.createWriteStream('got')).on('finish', () => {
	  const q = http.request({...o, method: 'PUT'}, r => { r.resume(); r.on('end', () => process.exit(0)); });
	  fs.createReadStream('data8').pipe(q);
	}));
	END
    cat > cluster.js <<- 'END'
	const cluster = require('cluster'), http = require('http');
	if (cluster.isPrimary) for (let i = 0; i < 4; i++) cluster.fork();
	else http.createServer((q, s) => s.end(String(process.pid))).listen(+process.argv[3], process.argv[2]);
	END
}
node_client() { rm -f got stored/node && b node client.js "$addr" 8130 && cmp data got && cmp data8 stored/node; }
node_cluster() {
    local i
    for i in {1..20}; do curl_ -f "http://$host:8131/" && echo; done | sort -u | wc -l | grep -qv '^[01]$'
}
test_node() {
    node_files
    serve node a node server.js "$addr" 8130
    check "node $v listens" up a 8130
    check "node $v client and server, $mib MiB and 8 MiB" node_client
    stop "$server"
    serve node a node cluster.js "$addr" 8131
    check "node $v cluster listens" up a 8131
    check "node $v cluster: several workers answer" node_cluster
    stop "$server"
}
