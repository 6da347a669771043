"""The service: searches over HTTP, and the page that shows them in a browser."""

from bitcodes.server.running import Server as Server
from bitcodes.server.running import start as start
