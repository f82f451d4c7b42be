// KVServer: everything of a node that touches the world. It drives KVNode's shards on threads, and
// joins them to disks, clocks, sockets, the HTTP interface, settings and logs.
//
// Reading order: Configuration/ServerConfiguration, Runtime/NodeRuntime, Runtime/ShardDriver,
// Peers/PeerNetwork, Clients/ClientListener, HTTP/HTTPInterface, Admin/AdminDocuments.
//
// It decides nothing about keys, replicas or members: that is KVNode's and KVCluster's.
