// A server that answers at once, as PM2 runs it in a cluster.
require("http")
  .createServer((_, answer) => answer.end("ok"))
  .listen(Number(process.env.PORT), "127.0.0.1");
