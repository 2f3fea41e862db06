# 0400 902:902
-- Run whenever the server starts, before anyone is let in, by each node for itself (init_file). So
-- the accounts are those of the configuration, whichever lab the data are from.
DELETE FROM mysql.global_priv WHERE User IN ('root', 'monitor', 'sst') AND Host <> 'localhost';
FLUSH PRIVILEGES;
-- Whoever administers from the lab's network, such as the databases job; on the node itself the
-- system user needs no password.
CREATE OR REPLACE USER 'root'@'198.18.0.0/255.255.255.0' IDENTIFIED BY '<mariadb.root>';
GRANT ALL PRIVILEGES ON *.* TO 'root'@'198.18.0.0/255.255.255.0' WITH GRANT OPTION;
-- State transfers, and nothing else.
CREATE OR REPLACE USER 'sst'@'localhost' IDENTIFIED BY '<mariadb.sst>';
GRANT RELOAD, PROCESS, LOCK TABLES, BINLOG MONITOR ON *.* TO 'sst'@'localhost';
-- Asks for the state of the node: no password, no privileges.
CREATE OR REPLACE USER 'monitor'@'198.18.0.0/255.255.255.0' WITH MAX_USER_CONNECTIONS 32;
